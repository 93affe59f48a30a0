//! Lists of cases that turn into tests.

/// Names the cases of a module: makes a macro that turns each of them into a test, on the homes that a function makes.
/// With `each` before it, what is made is given to a function instead: the name of each case, and what runs it.
macro_rules! list {
    ($d:tt $(#[$doc:meta])* $list:ident, of $module:ident: $($case:ident),+ $(,)?) => {
        $(#[$doc])*
        #[macro_export]
        macro_rules! $list {
            (each $d make:expr, $d visit:expr) => {
                $(
                    ($d visit)(stringify!($case), &|| $d crate::$module::$case($d make));
                )+
            };
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
    case_01_an_empty_store_has_no_streams,
    case_02_streams_are_listed_each_once,
    case_03_an_event_stored_twice_conflicts_and_the_first_one_stays,
    case_04_a_batch_with_a_conflict_stores_nothing,
    case_06_an_empty_batch_changes_nothing,
    case_07_a_batch_that_follows_on_is_stored,
    case_08_an_event_that_leaves_a_gap_is_refused,
    case_09_one_event_is_fetched_or_is_not_there,
    finding_06_a_gap_and_a_conflict_are_different_errors,
}

list! { $
    /// Range queries.
    range_cases, of ranges:
    case_12_above_a_version,
    case_13_from_a_version_on,
    case_14_below_a_version,
    case_15_up_to_a_version,
    case_16_between_two_versions,
    case_18_the_limit_counts_in_the_direction_of_the_query,
    case_20_pages_are_read_one_after_another,
    case_22_a_limit_of_0_is_an_empty_result,
}

list! { $
    /// Notifications, in sections.
    notification_cases, of notifications:
    case_60_the_sections_of_an_empty_log,
    case_61_the_sections_of_13_events,
    case_62_the_sections_of_24_events,
    case_65_positions_in_the_order_of_commits,
    case_66_a_conflict_takes_no_position,
    case_67_an_archived_section_never_changes,
    finding_10_a_full_section_is_followed_by_an_empty_one_and_nonsense_is_an_error,
    finding_11_a_reader_goes_to_its_section_at_once_and_reads_no_event_too_many,
}

list! { $
    /// Events that stay where they happen.
    local_cases, of local:
    case_69_a_local_event_is_in_its_stream_and_no_reader_sees_it,
    case_69_an_aggregate_with_local_events_is_loaded_where_they_are,
}

list! { $
    /// Local events and power cuts.
    local_power_cases, of local:
    case_69_local_events_outlive_power_cuts,
}

list! { $
    /// Readers of the notification log.
    reader_cases, of readers:
    case_70_a_reader_goes_on_where_it_was,
    case_73_a_reader_at_the_end_stays_there,
    case_75_a_log_elsewhere_is_read_in_sections,
    case_76_an_interrupted_transfer_goes_on_behind_what_arrived,
    case_76_a_reader_ahead_of_the_log_is_told,
    case_76_a_reader_of_some_kinds_sees_those_alone,
}

list! { $
    /// Copies of a log.
    replication_cases, of replication:
    case_77_a_copy_has_the_same_positions_streams_and_payloads,
    case_78_pulling_again_yields_nothing,
    case_79_a_copy_refuses_what_contradicts_it_or_leaves_a_gap,
    case_80_a_copy_of_a_copy_equals_the_original,
}

list! { $
    /// Events by time.
    timeline_cases, of timeline:
    case_93_messages_after_and_up_to_a_moment,
    case_94_a_part_of_many_messages,
}

list! { $
    /// Records that were let go.
    retention_cases, of retention:
    case_68_a_section_that_was_let_go_is_no_empty_one,
}

list! { $
    /// Aggregates, versions, concurrency.
    aggregate_cases, of aggregates:
    case_23_commands_raise_the_version_and_times_are_those_of_the_events,
    case_24_only_the_next_event_of_this_very_aggregate_is_applied,
    case_25_the_second_of_two_writers_conflicts,
    case_27_a_reloaded_aggregate_takes_the_command_again,
    case_28_a_command_without_events_writes_nothing,
    case_29_all_events_of_a_command_are_there_at_once,
    case_30_what_was_discarded_is_not_found_and_stays_so,
    case_31_versions_before_the_discard_can_be_loaded,
    case_32_an_unknown_id_is_not_found,
    case_34_a_command_that_always_conflicts_is_decided_as_often_as_allowed,
    case_35_a_stream_without_its_first_event_is_an_error,
    finding_08_nothing_is_left_out_of_a_batch_silently,
    finding_09_a_failed_save_leaves_the_aggregate_as_it_was,
}

list! { $
    /// Snapshots.
    snapshot_cases, of snapshots:
    case_51_a_snapshot_is_taken_each_period,
    case_52_the_nearest_snapshot_is_found,
    case_53_a_snapshot_of_the_same_version_is_taken_once,
    case_54_a_snapshot_and_later_events_equal_a_full_replay,
    case_55_what_a_snapshot_stands_for_may_be_gone,
    case_56_what_was_discarded_has_no_state_to_be_stored,
    case_57_a_batch_that_passes_several_periods_has_one_snapshot,
    case_59_a_version_before_every_snapshot_is_replayed,
    snapshot_that_cannot_be_read_is_passed_over,
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
    a_reaction_to_a_reaction_is_in_the_same_append,
    reactions_without_end_store_nothing,
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

list! { $
    /// Integrity and encryption, of sealed records.
    integrity_cases, of integrity:
    case_37_an_untouched_log_has_the_head_that_it_had,
    case_38_a_changed_payload_is_found_at_its_event,
    case_39_a_removed_event_is_found_at_the_next_one,
    case_40_a_log_cut_off_at_its_end_is_found_out_against_an_anchor,
    case_41_a_changed_header_is_found_at_its_event,
    case_45_what_is_encrypted_comes_back_and_does_not_show,
    case_46_a_mangled_ciphertext_is_an_error_and_never_garbage,
    case_49_snapshots_are_sealed_like_events,
    keys_are_rotated,
    a_stream_is_erased_by_destroying_its_key,
    stored_heads_find_out_what_was_removed_before_them,
    a_sealed_home_seals,
}

list! { $
    /// Integrity and encryption over reboots.
    integrity_reboot_cases, of integrity:
    case_44_with_another_key_the_first_record_fails,
    case_48_the_same_payload_twice_gives_different_ciphertexts,
}

/// Every case for homes whose power is never cut. `cases!(each …, visit)` hands them to a function, as names and what runs
/// them, rather than making tests.
#[macro_export]
macro_rules! cases {
    (each $make:expr, $visit:expr) => {
        $crate::plain_cases!(each $make, $visit);
        $crate::integrity_cases!(each $make, $visit);
    };
    ($make:expr) => {
        $crate::plain_cases!($make);
        $crate::integrity_cases!($make);
    };
}

/// The same without those that seal the records themselves: for homes in which they are sealed already.
#[macro_export]
macro_rules! plain_cases {
    ($($make:tt)+) => {
        $crate::store_cases!($($make)+);
        $crate::aggregate_cases!($($make)+);
        $crate::snapshot_cases!($($make)+);
        $crate::projection_cases!($($make)+);
        $crate::process_cases!($($make)+);
        $crate::system_cases!($($make)+);
        $crate::range_cases!($($make)+);
        $crate::notification_cases!($($make)+);
        $crate::local_cases!($($make)+);
        $crate::reader_cases!($($make)+);
        $crate::replication_cases!($($make)+);
        $crate::timeline_cases!($($make)+);
    };
}
