//! Lists of cases that turn into tests.

/// Names the cases of a module: makes a macro that turns each of them into a test, on the homes that a function makes.
macro_rules! list {
    ($d:tt $(#[$doc:meta])* $list:ident, of $module:ident: $($case:ident),+ $(,)?) => {
        $(#[$doc])*
        #[macro_export]
        macro_rules! $list {
            ($d make:expr) => {
                $(
                    #[test]
                    fn $case() {
                        $d crate::$module::$case($d make);
                    }
                )+
            };
        }
    };
}

list! { $
    /// Streams, uniqueness, atomic append.
    store_cases, of store:
    case_03_an_event_stored_twice_conflicts_and_the_first_one_stays,
    case_04_a_batch_with_a_conflict_stores_nothing,
    case_06_an_empty_batch_changes_nothing,
    case_07_a_batch_that_follows_on_is_stored,
    case_08_an_event_that_leaves_a_gap_is_refused,
}

list! { $
    /// Power cuts.
    power_cases, of power:
    case_11_a_batch_cut_off_is_there_whole_or_not_at_all,
}

/// Every case for homes whose power is never cut.
#[macro_export]
macro_rules! cases {
    ($make:expr) => {
        $crate::store_cases!($make);
    };
}
