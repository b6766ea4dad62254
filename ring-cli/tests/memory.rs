//! Where a ring's memory is to lie, and how `stat` shows where it does; and what `create` may not take.

mod support;

use support::{Ring, run, start};

#[test]
fn stat_shows_the_memory_of_the_living() {
    for kind in ["spsc", "mpmc"] {
        let ring = Ring::name("memory");
        run(&["create", &ring, "--kind", kind, "--huge-pages", "try"], b"").expect(0);
        let receiver = start(&["recv", &ring]);
        let memory = || {
            let stat = ring.stat();
            let seat = if kind == "spsc" { &stat["consumer"] } else { &stat["participants"][0] };
            (seat["memory"].clone(), stat["size"].as_u64().unwrap())
        };
        support::wait_until("the receiver's memory", || memory().0.is_object());
        let (memory, size) = memory();
        assert_eq!(memory["mapped"].as_u64().unwrap(), size.next_multiple_of(4096), "{memory}");
        assert!(memory["resident"].as_u64().unwrap() > 0 && memory["locked"] == 0, "{memory}");
        let text = run(&["stat", &ring], b"").expect(0).text();
        assert!(text.contains("its memory") && text.contains(" resident"), "{text}");
        receiver.kill();
        let text = run(&["stat", &ring], b"").expect(0).text();
        assert!(!text.contains("its memory"), "{text}");
    }
}

#[test]
fn what_cannot_be_had_is_exit_code_5_and_leaves_nothing() {
    for (args, words) in [
        (&["--capacity", "64KiB", "--huge-pages", "require"][..], "2 MiB"),
        (&["--capacity", "64KiB", "--numa-node", "900"], "/sys/devices/system/node/online"),
        (&["--capacity", "64KiB", "--max-size", "64KiB"], "max_size"),
        (&["--kind", "mpmc", "--max-size", "64KiB"], "max_size"),
        (&["--capacity", "64KiB", "--budget", "cli-refused=64KiB"], "budget"),
        (&["--kind", "mpmc", "--budget", "cli-refused=64KiB"], "budget"),
    ] {
        let ring = Ring::name("refused");
        run(&[&["create", &ring][..], args].concat(), b"").expect(5).says(words);
        assert!(!ring.path().exists());
    }
    let ring = Ring::name("refused");
    run(&["create", &ring, "--budget", "much"], b"").expect(2);
    run(&["create", &ring, "--budget", "cli-refused=1MiB", "--capacity", "64KiB", "--max-size", "1MiB"], b"").expect(0);
}
