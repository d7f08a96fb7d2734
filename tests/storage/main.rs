//! Tests of the guarantees that every backend of a cache gives, and of the additions of each.
//!
//! The tests of `objects`, `aside`, `records`, `stored` and `concurrency` only use the ports, and
//! run on every backend. `filesystem` damages files and directories; `codec` tests the stored form.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aside;
mod backends;
#[cfg(not(target_os = "wasi"))]
mod codec;
#[cfg(not(target_os = "wasi"))]
mod concurrency;
#[cfg(not(target_os = "wasi"))]
mod filesystem;
mod objects;
mod records;
mod stored;

/// Runs each of these tests on each backend.
macro_rules! suite {
    ($($module:ident { $($test:ident)* })*) => {
        mod on_a_filesystem {
            $($(#[test] fn $test() {
                crate::$module::$test(&crate::backends::FilesystemBackend::new());
            })*)*
        }
        mod in_memory {
            $($(#[test] fn $test() {
                crate::$module::$test(&crate::backends::MemoryBackend::new());
            })*)*
        }
    };
}

suite! {
    objects {
        what_is_put_can_be_got
        content_of_every_size_survives
        an_object_that_is_put_again_is_not_new
        the_kinds_live_apart
        what_is_not_there_is_missing
        missing_keeps_the_order
        a_limit_is_observed
        a_sink_keeps_what_a_source_reads
        a_source_insists_on_the_size
        looking_for_a_chunk_marks_it_as_used
        every_damage_is_told_apart
        a_remnant_counts_as_missing
        a_damaged_object_gets_well_when_it_is_put_again
        checks_name_the_fault_in_its_place
        listings_are_by_shard
        touched_objects_are_young
        locks_exclude_each_other
    }
    aside {
        an_object_set_aside_can_still_be_read
        an_object_set_aside_counts_as_missing
        objects_that_are_gone_are_passed_over
        one_object_can_be_in_several_sweeps
        recalled_objects_are_live_and_young
        a_live_object_stays_when_a_copy_is_recalled
        a_damaged_live_object_yields_to_a_copy_aside
        discarded_objects_are_gone_for_good
        a_delayed_discard_spares_the_live_object
    }
    records {
        a_record_that_is_put_can_be_got
        a_record_is_replaced
        records_are_answered_in_their_order
        touch_changes_the_time_and_not_the_value
        touch_creates_nothing
        a_record_is_deleted_only_in_its_version
        lists_are_sorted_and_paged
        lists_observe_the_prefix
        only_proper_names_are_taken
        records_have_a_largest_size
    }
    stored {
        a_stored_form_is_read_as_it_is
        a_stored_form_set_aside_is_found
        what_is_not_intact_is_not_opened
        a_stored_form_is_kept_as_it_is
        a_stored_form_that_is_there_is_not_new
        a_damaged_object_is_replaced_by_a_stored_form
        a_remnant_is_replaced_by_a_stored_form
        a_stored_form_damaged_in_any_byte_is_refused
        a_stored_form_of_another_size_is_refused
        a_stored_form_beyond_the_limit_is_refused
        a_stored_form_longer_than_it_need_be_is_refused
    }
}

#[cfg(not(target_os = "wasi"))]
mod side_by_side {
    use super::concurrency::{
        a_record_put_during_a_deletion_is_never_lost, threads_can_put_the_same_object,
    };

    macro_rules! suite_of_threads {
        ($($backend:ident: $type:ident)*) => {
            $(mod $backend {
                #[test] fn same_object() {
                    super::threads_can_put_the_same_object(&crate::backends::$type::new());
                }
                #[test] fn deletion() {
                    super::a_record_put_during_a_deletion_is_never_lost(
                        &crate::backends::$type::new(),
                    );
                }
            })*
        };
    }
    suite_of_threads! { on_a_filesystem: FilesystemBackend in_memory: MemoryBackend }
}
