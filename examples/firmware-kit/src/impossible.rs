//! A panic handler that does not link: a program with it that is linked all the same cannot panic.

/// Calls a function that exists nowhere.
#[macro_export]
macro_rules! panics_do_not_link {
    () => {
        #[panic_handler]
        fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
            unsafe extern "C" {
                fn this_program_can_panic() -> !;
            }
            // SAFETY: never called, since a program that could call it is not linked.
            unsafe { this_program_can_panic() }
        }
    };
}
