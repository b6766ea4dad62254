//! Runs the models in which one or two peers die at every step; see `src/crash.rs` and `src/consumer_crash.rs` for
//! what each asks.
#![cfg(loom)]

mod producers {
    loom_tests::model_tests!(loom_tests::crash::MODELS =>
        send_dies,
        padded_send_dies,
        claim_dies,
        batch_dies,
        padded_batch_dies,
        full_send_dies,
        close_dies,
        two_producers_die,
        two_batches_die,
        two_unread_producers_die,
        closer_and_successor_die,
    );
}

mod consumers {
    loom_tests::model_tests!(loom_tests::consumer_crash::MODELS =>
        recv_dies,
        read_dies,
        read_batch_dies,
        lazy_recv_dies,
        two_consumers_die,
        one_of_each_dies,
    );
}
