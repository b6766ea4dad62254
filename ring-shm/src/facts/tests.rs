use super::{Facts, parse_start_time};

fn stat_of(command: &str) -> String {
    let fields: Vec<String> = (3..=52).map(|field| format!("{}", field * 100)).collect();
    format!("7 ({command}) {}\n", fields.join(" "))
}

#[test]
fn start_time_is_field_22_whatever_the_command() {
    for command in ["cat", "two words", "a) S 1 2 3 (b", "(((", ")))", ""] {
        assert_eq!(parse_start_time(&stat_of(command)), Some(2200), "{command:?}");
    }
    for broken in ["", "7 cat S 1", "7 (cat", "7 (cat) S 1 2", "7 (cat) a b c d e f g h i j k l m n o p q r s t u"] {
        assert_eq!(parse_start_time(broken), None, "{broken:?}");
    }
}

#[test]
fn a_living_process_is_not_gone() {
    let me = Facts::of_self();
    assert!(me.pid != 0 && me.start_time != 0 && me.boot_hash != 0 && me.pid_namespace != 0);
    assert!(!me.gone());
}

#[test]
fn each_fact_alone_can_show_that_a_process_is_gone() {
    let me = Facts::of_self();
    assert!(Facts { boot_hash: me.boot_hash ^ 1, ..me }.gone());
    assert!(Facts { start_time: me.start_time + 1, ..me }.gone());
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = u64::from(child.id());
    let facts = Facts { pid, start_time: 0, ..me };
    // A zombie has exited, reaped or not.
    let start = std::time::Instant::now();
    while !facts.gone() {
        assert!(start.elapsed().as_secs() < 5);
        std::thread::yield_now();
    }
    child.wait().unwrap();
    assert!(facts.gone());
}

#[test]
fn what_cannot_be_shown_is_not_claimed() {
    let me = Facts::of_self();
    assert!(!Facts { start_time: 0, ..me }.gone(), "unknown start time");
    assert!(!Facts { boot_hash: 0, ..me }.gone(), "unknown boot");
    assert!(!Facts { pid_namespace: me.pid_namespace + 1, pid: 1 << 30, ..me }.gone(), "another namespace");
    assert!(!Facts { pid_namespace: 0, ..me }.gone(), "unknown namespace");
    for pid in [0, u64::from(u32::MAX), u64::MAX, 1 << 32] {
        assert!(!Facts { pid, ..me }.gone(), "no process id: {pid}");
    }
}
