//! Runs the MPMC models; see `mpmc_support` for what each asks.
#![cfg(loom)]

mod mpmc_support;

macro_rules! models {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            mpmc_support::run(stringify!($name));
        })*

        /// A model that no test runs would be no proof.
        #[test]
        fn every_model_has_a_test() {
            let tests = [$(stringify!($name)),*];
            for model in mpmc_support::all() {
                assert!(tests.contains(&model.name), "no test runs the model {}", model.name);
            }
        }
    };
}

models! {
    one_to_one,
    two_to_one,
    one_to_two,
    two_to_two,
    wrap,
    wrap_one_slot,
    full_one_slot,
    one_slot_two_consumers,
    full,
    empty,
    abort,
    abort_one_slot,
    batch,
    batch_in_the_way,
    keep,
    hint,
    hint_of_a_newer_message,
    hint_for_two,
    hint_by_a_repairer,
    keep_and_close,
    keep_and_redeliver,
    close_against_claims,
    living_are_never_repaired,
    same_producer_twice,
    same_consumer_twice,
    losing_producer,
    losing_consumer,
    single_each,
    single_producer,
    single_consumer,
    single_producer_close,
    single_producer_asked_to_close,
    single_producer_succession,
    closed_is_after_all,
    single_producer_closed_for,
    send_dies,
    send_dies_unattended,
    second_send_dies,
    claim_dies,
    abort_dies,
    batch_dies,
    send_into_full_dies,
    recv_dies,
    recv_dies_unattended,
    second_recv_dies,
    read_dies,
    read_batch_dies,
    keep_dies,
    skip_dies,
    recv_dies_at_most_once,
    adopter_dies,
    adoption_race,
    adoption_and_repair,
    adopting_twice,
    write_repairer_dies,
    read_repairer_dies,
    two_write_repairers,
    repaired_slot_is_reused,
    redelivered_slot_is_reused,
    two_senders_die,
    sender_and_receiver_die,
    receiver_and_adopter_die,
    sender_and_repairer_die,
    single_producer_dies,
    single_producers_batch_dies,
    single_consumer_dies,
    single_consumers_batch_dies,
    single_consumer_dies_at_most_once,
    entry_reuse,
    entry_reuse_by_a_loser,
    left_entry_is_reused,
    entry_taken_over,
    entry_recovered,
    left_reader_entry_is_reused,
    leave_and_repair,
    leaving_reader_and_repair,
    two_joiners_for_one_entry,
    joiner_dies,
    leaver_dies,
    attach_while_working,
    recovery_dies,
}
