//! Runs the models of closes, deaths, take-overs and session marks; see `src/sessions.rs` for what each asks.
#![cfg(loom)]

loom_tests::model_tests!(loom_tests::sessions::MODELS =>
    close,
    death,
    consumer_close,
    consumer_death,
    positions_in_motion,
    taken,
    one_of_two_sits,
    successor_after_close,
    successor_after_death,
    successor_writes_over_released,
    mark_over_old_bytes,
    mark_waits_for_space,
    told_before_the_mark,
    new_consumer_after_death,
    new_consumer_after_close,
    recovered_between,
    both_sides_pass_on,
);
