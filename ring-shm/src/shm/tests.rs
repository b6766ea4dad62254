use std::fs;

use super::*;

/// Somebody may have made the segment longer than the ring in it: it is attached whole, so all of it must stay out of
/// children, not only what is used.
#[test]
fn no_part_of_an_attachment_goes_to_children() {
    let key = i32::try_from(std::process::id()).unwrap() ^ 0x5249_0000;
    let id = create(key, 5 * 4096, 0o600).unwrap();
    let attached = Attached::new(id, 100, true);
    remove(id).unwrap();
    let attached = attached.unwrap();
    let (from, to) = (attached.as_ptr().as_ptr().addr(), attached.as_ptr().as_ptr().addr() + 5 * 4096);
    let (mut inside, mut kept) = (false, 0);
    for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        if let Some((start, rest)) = line.split_once('-').filter(|(start, _)| !start.contains(' ')) {
            if let (Ok(start), Some(Ok(end))) =
                (usize::from_str_radix(start, 16), rest.split(' ').next().map(|end| usize::from_str_radix(end, 16)))
            {
                inside = start >= from && end <= to;
                kept += if inside { end - start } else { 0 };
            }
        } else if inside && line.starts_with("VmFlags:") {
            assert!(line.split(' ').any(|flag| flag == "dc"), "{line}");
        }
    }
    assert_eq!(kept, 5 * 4096);
}
