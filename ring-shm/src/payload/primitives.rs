//! The payloads that are not structs: numbers of fixed width, in the machine's order or a stated one, arrays, and slices.

use zerocopy::byteorder::{BigEndian, LittleEndian};
use zerocopy::byteorder::{F32, F64, I16, I32, I64, I128, U16, U32, U64, U128};

use super::{Payload, PayloadType};

macro_rules! numbers {
    ($($type:ty = $name:literal),+ $(,)?) => {$(
        impl Payload for $type {
            const TYPE: &'static PayloadType = &PayloadType::primitive::<Self>($name);
        }
    )+};
}

numbers! {
    u8 = "u8", u16 = "u16", u32 = "u32", u64 = "u64",
    i8 = "i8", i16 = "i16", i32 = "i32", i64 = "i64",
    f32 = "f32", f64 = "f64",
}

impl<T: Payload, const N: usize> Payload for [T; N] {
    const TYPE: &'static PayloadType = &PayloadType::array::<T, N>();
}

impl<T: Payload> Payload for [T] {
    const TYPE: &'static PayloadType = &PayloadType::slice::<T>();
}

// Rings exist on little-endian machines only, where the first kind lies like a plain number; but neither wants an
// alignment.
macro_rules! orders {
    ($($type:ident),+) => {$(
        impl Payload for $type<LittleEndian> {
            const TYPE: &'static PayloadType = &PayloadType::primitive::<Self>(concat!(stringify!($type), "<LE>"));
        }

        impl Payload for $type<BigEndian> {
            const TYPE: &'static PayloadType = &PayloadType::primitive::<Self>(concat!(stringify!($type), "<BE>"));
        }
    )+};
}

orders!(U16, U32, U64, U128, I16, I32, I64, I128, F32, F64);
