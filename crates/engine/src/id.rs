//! Identifiers, and the generator that makes everything random the engine puts on the wire.
//!
//! Every transaction and dialog identifier carries the number of its shard, so that a command finds its engine without a table.
use std::fmt;

macro_rules! sharded {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(u64);

        impl $name {
            /// Builds the identifier number `counter` of shard `shard`.
            #[must_use]
            pub fn new(shard: u8, counter: u64) -> Self {
                Self((u64::from(shard) << 56) | (counter & 0x00ff_ffff_ffff_ffff))
            }
            /// The shard whose engine owns it.
            #[must_use]
            pub fn shard(self) -> u8 {
                (self.0 >> 56) as u8
            }
            /// The whole identifier as a number, for a text form.
            #[must_use]
            pub fn to_bits(self) -> u64 {
                self.0
            }
            /// The identifier that `to_bits` gave.
            #[must_use]
            pub fn from_bits(bits: u64) -> Self {
                Self(bits)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
    };
}

sharded!(
    /// A transaction, server or client, for as long as the application may refer to it.
    TransactionId
);
sharded!(
    /// A dialog, early or confirmed (RFC 3261 §12).
    DialogId
);

/// Which side of a dialog the engine's application was when the dialog was created (RFC 3261 §12.1).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum DialogRole {
    /// The application's request created it: the From tag of that request is the local tag.
    Uac,
    /// The peer's request created it: the From tag of that request is the remote tag.
    Uas,
}

/// The bit of a dialog identifier that holds its role.
const ROLE_UAC: u64 = 1 << 55;
/// The bit of a dialog identifier that says that another dialog of the same request was there before.
const FORK: u64 = 1 << 54;

impl DialogId {
    /// Builds the identifier number `counter` (54 bits) of shard `shard`. The role is part of the identifier, so that a link
    /// which names dialogs by the tag of their creator (the control protocol) needs no table: it never changes in a dialog's life.
    #[must_use]
    pub fn with_role(shard: u8, counter: u64, role: DialogRole) -> Self {
        let role = match role {
            DialogRole::Uac => ROLE_UAC,
            DialogRole::Uas => 0,
        };
        Self::new(shard, (counter & (FORK - 1)) | role)
    }

    /// The identifier of a further dialog that one request created (RFC 3261 §12.1: a fork answered as well): Call-ID and the
    /// creator's tag alone do not name it.
    #[must_use]
    pub fn of_fork(self) -> Self {
        Self(self.0 | FORK)
    }

    /// Whether it was made by `of_fork`.
    #[must_use]
    pub fn is_fork(self) -> bool {
        self.0 & FORK != 0
    }

    /// The role given at construction; `Uas` for an identifier made by `new` with a small counter.
    #[must_use]
    pub fn role(self) -> DialogRole {
        if self.0 & ROLE_UAC == 0 {
            DialogRole::Uas
        } else {
            DialogRole::Uac
        }
    }
}

/// An application attached to the engine: the embedded one, or one control connection.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ApplicationId(pub u32);

/// A command's number, chosen by the application's link; events that answer the command carry it.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommandId(pub u64);

/// A connection of a stream transport, numbered by the driver.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// A question to the resolver.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ResolveId(pub u64);

/// Makes tags, branches and Call-IDs from a seed (xoshiro256++, public domain algorithm by Blackman and Vigna).
///
/// The driver seeds it from the operating system, the simulator from a test's seed.
#[derive(Clone, Debug)]
pub struct Generator {
    state: [u64; 4],
}

impl Generator {
    /// A generator for `seed`: 32 bytes, which must not be predictable on a network.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Generator {
        let mut state = [0_u64; 4];
        for (word, chunk) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word = chunk
                .iter()
                .fold(0, |word, byte| (word << 8) | u64::from(*byte));
        }
        if state == [0; 4] {
            state = [
                0x9e37_79b9_7f4a_7c15,
                0xbf58_476d_1ce4_e5b9,
                0x94d0_49bb_1331_11eb,
                1,
            ];
        }
        Generator { state }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A token of 16 lower-case hexadecimal digits: 64 random bits, twice what RFC 3261 §19.3 asks of a tag.
    pub fn token(&mut self) -> String {
        format!("{:016x}", self.next_u64())
    }
}
