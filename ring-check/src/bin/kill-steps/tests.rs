//! What is taken for an instruction after which always the same one comes.

use crate::code::{Code, goes_on};

/// The bytes of an instruction, and others behind it.
fn bytes(of: &[u8]) -> [u8; 8] {
    core::array::from_fn(|i| of.get(i).copied().unwrap_or(0x90))
}

#[test]
fn what_leads_elsewhere_is_known() {
    let elsewhere: &[&[u8]] = &[
        &[0x74, 0x10],             // je
        &[0x0f, 0x85, 1, 0, 0, 0], // jne
        &[0xe8, 0, 0, 0, 0],       // call
        &[0xf3, 0xc3],             // rep ret
        &[0x41, 0xff, 0xd4],       // call r12
        &[0xff, 0x25, 0, 0, 0, 0], // jmp [rip]
        &[0x3e, 0xff, 0xe0],       // notrack jmp rax
        &[0x0f, 0x05],             // syscall
        &[0xf3, 0xa4],             // rep movsb
        &[0xf3, 0x48, 0xab],       // rep stosq
        &[0xcc],                   // int3
        &[0x9d],                   // popf
        &[0xc7, 0xf8, 0, 0, 0, 0], // xbegin
        &[0xe3, 0x10],             // jrcxz
    ];
    for instruction in elsewhere {
        assert!(!goes_on(&bytes(instruction)), "{instruction:02x?}");
    }
}

#[test]
fn what_goes_on_is_known() {
    let on: &[&[u8]] = &[
        &[0x48, 0x89, 0xe5],             // mov rbp, rsp
        &[0x55],                         // push
        &[0xf0, 0x48, 0x0f, 0xb1, 0x0f], // lock cmpxchg
        &[0xff, 0xc0],                   // inc
        &[0xff, 0x75, 0x08],             // push [rbp + 8]
        &[0xc5, 0xfe, 0x6f, 0x06],       // vmovdqu
        &[0xf3, 0x0f, 0x1e, 0xfa],       // endbr64
        &[0x66, 0x0f, 0x1f, 0x44, 0, 0], // nop
        &[0xc7, 0x45, 0xf8, 0, 0, 0, 0], // mov [rbp - 8], 0
    ];
    for instruction in on {
        assert!(goes_on(&bytes(instruction)), "{instruction:02x?}");
    }
}

#[test]
fn a_way_ends_where_it_is_not_known_or_changes_the_segment() {
    let mut code = Code::default();
    let read = |of: &'static [u8]| move || Ok::<_, ()>(u64::from_le_bytes(bytes(of)));
    code.learn(10, Some(11), false, read(&[0x55])).unwrap();
    code.learn(11, Some(14), false, read(&[0x48, 0x89, 0xe5])).unwrap();
    code.learn(14, Some(16), false, read(&[0x74, 0x10])).unwrap();
    assert_eq!(code.straight(10), (vec![10, 11], 14));
    assert_eq!(code.straight(14), (vec![], 14));
    code.learn(11, Some(14), true, read(&[])).unwrap();
    assert_eq!(code.straight(10), (vec![10], 11));
    assert_eq!(code.is_call(20, read(&[0x0f, 0x05])), Ok(true));
    code.learn(20, Some(22), true, read(&[0x0f, 0x05])).unwrap();
    assert_eq!(code.is_call(20, || Err(())), Ok(true));
    assert_eq!(code.straight(20), (vec![], 20));
}
