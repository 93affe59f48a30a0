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

list! { $
    /// Projections, in memory and stored.
    projection_cases, of projections:
    case_81_a_projection_that_fails_stays_where_it_is,
    a_projection_in_memory_is_rebuilt_and_goes_on_from_where_it_failed,
}

list! { $
    /// Processes: exactly once, over this log and others.
    process_cases, of processes:
    finding_05_a_duplicate_leaves_nothing_of_its_reaction_behind,
    finding_07_a_tracker_accepts_its_next_position_or_an_explicit_stretch,
    case_83_an_application_that_follows_itself,
    case_84_the_reading_place_moves_on_without_a_reaction,
    case_85_a_notification_dealt_with_twice_conflicts,
    case_87_a_policy_that_fails_stores_nothing_and_starts_from_its_tracker,
    case_88_what_depends_on_another_log_waits_for_it,
    a_log_is_followed_through_the_sections_that_arrive,
    a_log_that_is_behind_its_follower_is_told,
}

list! { $
    /// Systems of processes that follow each other.
    system_cases, of systems:
    case_89_orders_are_reserved_and_paid_when_the_command_returns,
    case_90_a_lost_prompt_does_no_harm_and_one_too_many_neither,
    a_system_in_small_steps_does_what_it_does_at_once,
    a_member_that_fails_does_not_stop_the_others,
}

list! { $
    /// Power cuts between the writes of processes.
    process_power_cases, of process_power:
    case_82_view_and_position_agree_after_a_cut_between_any_two_writes,
    a_view_outlives_a_reboot,
}

/// Every case for homes whose power is never cut.
#[macro_export]
macro_rules! cases {
    ($make:expr) => {
        $crate::store_cases!($make);
        $crate::projection_cases!($make);
        $crate::process_cases!($make);
        $crate::system_cases!($make);
    };
}
