//! Types that can travel through shared memory, and how a ring states which of them it carries.
//!
//! A type qualifies by zerocopy's traits, which look at it whole: every bit pattern is a value (`FromBytes`), no byte of
//! it is padding (`IntoBytes`), nothing in it changes behind a shared reference (`Immutable`). [`Payload`] adds its
//! layout, in a form that two programs can compare. Typed handles call this; the macro [`payload!`](crate::payload)
//! writes the form down.

use core::fmt;
use core::mem::{align_of, size_of};

use ring_core::{TYPE_TEXT_LEN, TypeText};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::setup_error::SetupError;

mod primitives;

/// A type whose values can be sent as they lie in memory, and be received whatever is there instead.
///
/// So can slices of such values: `[T]` is the payload of records that hold any number of them. SPSC rings carry those.
///
/// [`payload!`](crate::payload) implements it for a struct, field by field. A type that cannot be written down that way
/// (generic, a union, made by a generator) states a version of its own:
///
/// ```
/// use ring_shm::{Payload, PayloadType};
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// #[repr(C)]
/// struct Frame<const N: usize> {
///     pixels: [[u8; N]; N],
/// }
///
/// impl Payload for Frame<64> {
///     const TYPE: &'static PayloadType = &PayloadType::version::<Self>("Frame", 3); // count up with each change
/// }
/// assert_eq!(Frame::<64>::TYPE.to_string(), "Frame version 3 size 4096");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent through a ring as it is",
    label = "no payload",
    note = "a payload is a struct declared in `payload!`, an array of payloads, or a number of fixed width",
    note = "pointers, references, `String` and `Vec` mean nothing in another process: send the bytes, or an offset",
    note = "`bool`, `char` and enums have invalid patterns, which a peer could send: use `u8` or `u32` and check",
    note = "`usize` has another width in a 32-bit peer: use `u32` or `u64`"
)]
pub trait Payload: FromBytes + IntoBytes + Immutable + KnownLayout + Send + 'static {
    /// The layout, as rings state it.
    const TYPE: &'static PayloadType;
}

/// A layout: a text that names everything in which two programs could differ, and the hash of that text.
///
/// The alignment in it is the natural one, by which a `u64` has 8 also where a 32-bit compiler takes 4: two programs
/// agree if the bytes do.
#[derive(Clone, PartialEq, Eq)]
pub struct PayloadType {
    text: [u8; TYPE_TEXT_LEN],
    len: usize,
    hash: u64,
    size: usize,
    align: usize,
    /// The alignment that this compiler gives it.
    own_align: usize,
}

/// The strictest alignment of a payload in place: records lie on multiples of it.
pub(crate) const MAX_ALIGN: usize = 8;

/// The longest payload, in bytes.
const MAX_SIZE: usize = (1 << 31) - 16;

impl PayloadType {
    const fn new<T>(align: usize) -> Self {
        assert!(size_of::<T>() > 0, "a payload has at least one byte");
        assert!(size_of::<T>() <= MAX_SIZE, "a payload has at most 2^31 - 16 bytes");
        assert!(align_of::<T>() <= MAX_ALIGN, "payloads lie on multiples of 8 bytes: the type wants more");
        Self {
            text: [0; TYPE_TEXT_LEN],
            len: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            size: size_of::<T>(),
            align,
            own_align: align_of::<T>(),
        }
    }

    /// The struct `T` of these `(name, offset, type)`. [`payload!`](crate::payload) writes this.
    ///
    /// # Panics
    /// In a constant: does not compile. If `T` is empty, longer than 2³¹ − 16 bytes, or wants more than multiples of 8.
    #[must_use]
    pub const fn fields<T>(name: &str, fields: &[(&str, usize, &Self)]) -> Self {
        let (mut align, mut own, mut i) = (1, 1, 0);
        while i < fields.len() {
            align = max(align, fields[i].2.align);
            own = max(own, fields[i].2.own_align);
            i += 1;
        }
        // A struct whose alignment is less than a field's is packed; else it has its own (`align(N)`) or a field's.
        let packed = align_of::<T>() < own;
        let mut this = Self::new::<T>(if packed { align_of::<T>() } else { max(align, align_of::<T>()) });
        this.push(name.as_bytes());
        this.push(b" { ");
        i = 0;
        while i < fields.len() {
            let (name, offset, kind) = fields[i];
            if i > 0 {
                this.push(b", ");
            }
            this.push(name.as_bytes());
            this.push(b": ");
            this.push_type(kind);
            this.push(b" @");
            this.push_number(offset as u64);
            i += 1;
        }
        this.push(b" }");
        this.end()
    }

    /// The type `T`, of which only its author can tell whether two are the same: by name, version and size.
    ///
    /// # Panics
    /// In a constant: does not compile. If `T` is empty, longer than 2³¹ − 16 bytes, or wants more than multiples of 8.
    #[must_use]
    pub const fn version<T>(name: &str, version: u64) -> Self {
        let mut this = Self::new::<T>(align_of::<T>());
        this.push(name.as_bytes());
        this.push(b" version ");
        this.push_number(version);
        this.push(b" size ");
        this.push_number(this.size as u64);
        this.cut()
    }

    /// A number, whose name tells everything.
    const fn primitive<T>(name: &str) -> Self {
        // Natural: its size. Byte-order types have none.
        let mut this = Self::new::<T>(if align_of::<T>() == 1 { 1 } else { size_of::<T>() });
        this.push(name.as_bytes());
        this.cut()
    }

    /// `count` times `T`.
    const fn array<T: Payload, const N: usize>() -> Self {
        let mut this = Self::new::<[T; N]>(T::TYPE.align);
        this.push(b"[");
        this.push_type(T::TYPE);
        this.push(b"; ");
        this.push_number(N as u64);
        this.push(b"]");
        this.cut()
    }

    /// Any number of `T`s; what is said of the size is said of one.
    const fn slice<T: Payload>() -> Self {
        let mut this = Self::new::<T>(T::TYPE.align);
        this.push(b"[");
        this.push_type(T::TYPE);
        this.push(b"]");
        this.cut()
    }

    /// Appends to the text, of which the hash counts all and the rest keeps what fits.
    const fn push(&mut self, bytes: &[u8]) {
        let mut i = 0;
        while i < bytes.len() {
            if self.len < TYPE_TEXT_LEN {
                self.text[self.len] = bytes[i];
            }
            self.len += 1;
            self.hash = (self.hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            i += 1;
        }
    }

    const fn push_type(&mut self, other: &Self) {
        let (text, _) = other.text.split_at(other.len);
        self.push(text);
    }

    const fn push_number(&mut self, number: u64) {
        if number >= 10 {
            self.push_number(number / 10);
        }
        self.push(&[b'0' + (number % 10) as u8]);
    }

    const fn end(mut self) -> Self {
        self.push(b" size ");
        self.push_number(self.size as u64);
        self.push(b" align ");
        self.push_number(self.align as u64);
        self.cut()
    }

    /// A text that is too long ends in its hash, so that one it is part of depends on all of it.
    const fn cut(mut self) -> Self {
        if self.len > TYPE_TEXT_LEN {
            let (mut at, mut rest) = (TYPE_TEXT_LEN, self.hash);
            while at > TYPE_TEXT_LEN - 16 {
                at -= 1;
                self.text[at] = b"0123456789abcdef"[(rest % 16) as usize];
                rest /= 16;
            }
            self.text[at - 1] = b'#';
            self.len = TYPE_TEXT_LEN;
        }
        self
    }

    /// FNV-1a (64 bit) of the text; 0 stands for bytes, so no type has it.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        if self.hash == 0 { 1 } else { self.hash }
    }

    /// Bytes of a value; of a slice's those of one of its values.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The text, as rings keep it.
    pub(crate) fn text(&'static self) -> &'static [u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.text.get(..self.len).unwrap_or_default()))
    }
}

impl fmt::Debug for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadType({self})")
    }
}

/// What a ring says of its payload, for people. Its creator has written it, so it may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeFacts {
    /// The hash, by which handles decide.
    pub hash: u64,
    /// The description, with everything escaped that a terminal could take for an order; empty if there is none.
    pub description: String,
}

impl TypeFacts {
    /// What a ring of this hash and description says; `None` for bytes.
    pub(crate) fn of_ring(hash: u64, text: TypeText) -> Option<Self> {
        let description = String::from_utf8_lossy(text.as_bytes()).escape_debug().to_string();
        (hash != 0).then_some(Self { hash, description })
    }

    fn of_type(wanted: &PayloadType) -> Self {
        Self { hash: wanted.hash(), description: wanted.to_string() }
    }
}

impl fmt::Display for TypeFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.description.as_str() {
            "" => write!(f, "a type without a description (hash {:016x})", self.hash),
            description => write!(f, "{description} (hash {:016x})", self.hash),
        }
    }
}

/// Refuses a ring whose payload has another hash than `wanted`; who wants bytes gets them of every ring.
pub(crate) fn check(
    wanted: Option<&PayloadType>,
    found: u64,
    text: impl FnOnce() -> TypeText,
) -> Result<(), SetupError> {
    match wanted {
        Some(wanted) if wanted.hash() != found => Err(SetupError::WrongType {
            found: TypeFacts::of_ring(found, text()).map(Box::new),
            expected: Box::new(TypeFacts::of_type(wanted)),
        }),
        _ => Ok(()),
    }
}

/// Declares a struct and its layout: the struct as it stands here, and an implementation of [`Payload`](crate::Payload)
/// that names every field with its type and offset.
///
/// The struct is made `repr(C)`, so its fields lie in order. It derives zerocopy's traits, for which its crate depends on
/// `zerocopy` with the feature `derive`.
///
/// ```
/// use ring_shm::{Payload as _, payload, spsc};
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// payload! {
///     /// A trade.
///     #[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
///     pub struct Tick {
///         pub price: u64,
///         pub quantity: u32,
///         pub side: u32,
///     }
/// }
///
/// let layout = "Tick { price: u64 @0, quantity: u32 @8, side: u32 @12 } size 16 align 8";
/// assert_eq!(Tick::TYPE.to_string(), layout);
///
/// let (mut tx, mut rx) = spsc::typed_heap::<Tick>(1 << 12)?;
/// tx.try_send(0, &Tick { price: 100, quantity: 5, side: 1 })?;
/// assert_eq!(rx.try_recv()?.0.price, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What must not be sent does not compile. Pointers and references mean nothing in another process, and a `String` or
/// a `Vec` is one. The cure: the bytes themselves, in an array with a length beside it, or an untyped ring.
///
/// ```compile_fail,E0277
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Name { text: String }
/// }
/// ```
/// ```compile_fail,E0277
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Name { text: &'static u8 }
/// }
/// ```
/// ```compile_fail,E0277
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Node { next: *const Node }
/// }
/// ```
/// ```
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Name { len: u8, text: [u8; 31] }
/// }
/// ```
///
/// Padding has no value, and what is sent in its place would be whatever the sender's memory held: secrets, for one.
/// The cure: a field for it.
///
/// ```compile_fail,E0277
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Padded { id: u64, kind: u32 }
/// }
/// ```
/// ```
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Padded { id: u64, kind: u32, zero: [u8; 4] }
/// }
/// ```
///
/// A `bool` of value 2, a `char` that is none, an enum of a variant that does not exist: undefined behaviour in the
/// receiver, and a peer that lies could cause it. The cure: a number, and a check.
///
/// ```compile_fail,E0277
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Flag { on: bool }
/// }
/// ```
/// ```compile_fail,E0277
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// #[derive(IntoBytes, Immutable, KnownLayout)]
/// #[repr(u8)]
/// enum Side { Buy, Sell }
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Order { side: Side }
/// }
/// ```
/// ```
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # enum Side { Buy, Sell }
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Order { side: u8 }
/// }
/// impl Order {
///     fn side(&self) -> Option<Side> {
///         match self.side { 0 => Some(Side::Buy), 1 => Some(Side::Sell), _ => None }
///     }
/// }
/// ```
///
/// A `usize` has 4 bytes in a 32-bit peer and 8 in a 64-bit one. The cure: `u32` or `u64`.
///
/// ```compile_fail,E0277
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Slice { start: usize }
/// }
/// ```
/// ```
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     struct Slice { start: u64 }
/// }
/// ```
///
/// A cell can change while it is copied; and records lie on multiples of 8 bytes, so a type that wants more cannot be
/// lent in place.
///
/// ```compile_fail,E0277
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, KnownLayout)]
///     struct Counter { count: core::cell::Cell<u32> }
/// }
/// ```
/// ```compile_fail,E0080
/// # use ring_shm::payload; use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// payload! {
///     #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
///     #[repr(align(64))]
///     struct Line { bytes: [u8; 64] }
/// }
/// ```
#[macro_export]
macro_rules! payload {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[repr(C)]
        $visibility struct $name {
            $($(#[$field_attribute])* $field_visibility $field: $type),+
        }

        impl $crate::Payload for $name {
            const TYPE: &'static $crate::PayloadType = &$crate::PayloadType::fields::<Self>(
                ::core::stringify!($name),
                &[$((
                    ::core::stringify!($field),
                    ::core::mem::offset_of!($name, $field),
                    <$type as $crate::Payload>::TYPE,
                )),+],
            );
        }

        // Here and now, and not only where somebody sends one.
        const _: &$crate::PayloadType = <$name as $crate::Payload>::TYPE;
    };
}
