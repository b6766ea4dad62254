use super::*;

/// A group of version 2 with those files.
fn group(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

#[test]
fn what_a_group_leaves_counts_caches_and_no_swap_that_is_not_there() {
    let stat = "anon 7\nfile 900\ninactive_file 100\nactive_file 50\n";
    let files = [("memory.max", "1000\n"), ("memory.current", "900\n"), ("memory.stat", stat)];
    let limited = group(&[&files[..], &[("memory.swap.max", "0\n"), ("memory.swap.current", "0\n")]].concat());
    let room = Room { limit: 1000, free: 250 };
    assert_eq!(of(limited.path(), &VERSION_2, u64::MAX), Some(room));
    // It fits: at once, or with what the kernel takes back.
    assert_eq!(
        [50, 100, 250, 251].map(|wanted| of(limited.path(), &VERSION_2, wanted)),
        [None, None, None, Some(room)]
    );
    let unlimited = group(&[("memory.max", "max\n"), ("memory.current", "900\n")]);
    assert_eq!(of(unlimited.path(), &VERSION_2, u64::MAX), None);
    assert_eq!(of(Path::new("/nowhere"), &VERSION_1, u64::MAX), None);
}

#[test]
fn the_groups_above_are_looked_at_and_nothing_beyond_the_root() {
    let root = Path::new("/sys/fs/cgroup");
    let all = above(root, "a/b");
    assert_eq!(all, [root.join("a/b"), root.join("a"), root.to_owned()]);
    assert_eq!(above(root, ""), [root.to_owned()]);
}
