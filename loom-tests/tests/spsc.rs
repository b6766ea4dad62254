//! Runs the models of one living producer and one living consumer; see `src/spsc.rs` for what each asks.
#![cfg(loom)]

loom_tests::model_tests!(loom_tests::spsc::MODELS =>
    empty_and_zero_length,
    short_commit,
    abort,
    full,
    padding,
    wrap,
    wrap_at_2_64,
    stream,
    in_place,
    batch_is_all_or_nothing,
    batch_with_padding,
    batch_read,
    release_every,
);
