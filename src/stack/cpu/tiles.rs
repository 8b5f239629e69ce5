//! Matrix tiles (AMX): products of `bf16` numbers, 16 × 32 by 32 × 16, summed in `f32`.
//!
//! Operands are packed by [`bf16`]. A product of two strips keeps four tiles of sums in
//! registers. Where numbers are split into three parts, it is the six sums of parts that matter: what
//! is left out is below 2⁻²⁴ of it, so that the result is as good as one of `f32` multiplications, at
//! a multiple of their speed.

#![expect(unsafe_code, reason = "tile registers are reached by machine instructions only")]

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::bf16::{self, Parts, TILE};
use super::kernel::{STRIP, Start, Sums};

/// Whether this processor has tiles and the system lets us use them.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        // Leaf 7 of CPUID: bit 22 of edx is AMX-BF16, bit 24 AMX-TILE.
        let features = __cpuid_count(7, 0).edx;
        features >> 22 & 1 == 1 && features >> 24 & 1 == 1 && bf16::available() && permitted()
    })
}

/// Asks the system, once per process, for the tile registers.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA): see Documentation/arch/x86/xstate.rst.
    const REQUEST: usize = 0x1023;
    const TILE_DATA: usize = 18;
    // SAFETY: the call changes nothing but what the process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// The tile registers of this thread, set up while it lives. A second one on the same thread would take them away.
pub struct Tiles(PhantomData<*const ()>);

#[repr(C, align(64))]
struct Setup {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

impl Tiles {
    /// # Panics
    /// If there are none.
    pub fn new() -> Self {
        assert!(available(), "this processor has no tiles");
        let mut setup = Setup { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row: [0; 16], rows: [0; 16] };
        setup.bytes_per_row[..8].fill(64);
        setup.rows[..8].fill(TILE as u8);
        // SAFETY: the processor has tiles and the setup is one of its palette.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const setup, options(nostack, readonly)) };
        Self(PhantomData)
    }

    /// To `sums[i][j]` comes the product of row i of the left and row j of the right strip.
    pub fn multiply(&self, left: &[u8], right: &[u8], parts: Parts, start: Start, sums: &mut Sums) {
        assert_eq!(left.len(), right.len());
        let steps = left.len() / parts.step_bytes();
        assert!(steps > 0 && left.len() == steps * parts.step_bytes());
        // SAFETY: the tiles are set up, and every step reads its bytes of both strips.
        unsafe {
            match start {
                Start::Zero => {
                    asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
                }
                Start::Sums => asm!(
                    "tileloadd tmm0, [{top} + {stride}]",
                    "tileloadd tmm1, [{top} + {stride} + 64]",
                    "tileloadd tmm2, [{bottom} + {stride}]",
                    "tileloadd tmm3, [{bottom} + {stride} + 64]",
                    top = in(reg) sums.as_ptr(),
                    bottom = in(reg) sums[TILE * STRIP..].as_ptr(),
                    stride = in(reg) STRIP * 4,
                    options(nostack, readonly)
                ),
            }
            match parts {
                Parts::One => multiply_one(left.as_ptr(), right.as_ptr(), steps),
                Parts::Three => multiply_three(left.as_ptr(), right.as_ptr(), steps),
            }
            asm!(
                "tilestored [{top} + {stride}], tmm0",
                "tilestored [{top} + {stride} + 64], tmm1",
                "tilestored [{bottom} + {stride}], tmm2",
                "tilestored [{bottom} + {stride} + 64], tmm3",
                top = in(reg) sums.as_mut_ptr(),
                bottom = in(reg) sums[TILE * STRIP..].as_mut_ptr(),
                stride = in(reg) STRIP * 4,
                options(nostack)
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: as above. A thread without tiles in use is cheaper to switch.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Both tiles of rows (4, 5) times both of columns (6, 7), added to the sums (0 to 3).
macro_rules! products {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm1, tmm4, tmm7
         tdpbf16ps tmm2, tmm5, tmm6
         tdpbf16ps tmm3, tmm5, tmm7"
    };
}

/// Loads both tiles of rows, or of columns, of one part.
macro_rules! rows {
    ($part:literal) => {
        concat!("tileloadd tmm4, [{l} + {s} + 2048*", $part, "]\ntileloadd tmm5, [{l} + {s} + 2048*", $part, " + 1024]")
    };
}
macro_rules! columns {
    ($part:literal) => {
        concat!("tileloadd tmm6, [{r} + {s} + 2048*", $part, "]\ntileloadd tmm7, [{r} + {s} + 2048*", $part, " + 1024]")
    };
}

/// Has the first-level cache fetch a KiB of the step after the next of the right strip: it comes from the
/// second level, a strip after the other.
macro_rules! fetch {
    ($kib:literal) => {
        concat!(
            ".irp line, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n",
            "prefetcht0 [{r} + 2*6144 + 1024*",
            $kib,
            " + 64*\\line]\n.endr"
        )
    };
}

unsafe fn multiply_one(left: *const u8, right: *const u8, steps: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "2:",
            rows!(0),
            columns!(0),
            products!(),
            "add {l}, 2048",
            "add {r}, 2048",
            "dec {n}",
            "jnz 2b",
            l = inout(reg) left => _,
            r = inout(reg) right => _,
            n = inout(reg) steps => _,
            s = in(reg) 64_usize,
            options(nostack, readonly)
        );
    }
}

unsafe fn multiply_three(left: *const u8, right: *const u8, steps: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "2:",
            rows!(0),
            columns!(0),
            products!(),
            fetch!(0),
            columns!(2),
            products!(),
            fetch!(1),
            columns!(1),
            products!(),
            fetch!(2),
            rows!(1),
            products!(),
            fetch!(3),
            columns!(0),
            products!(),
            fetch!(4),
            rows!(2),
            products!(),
            fetch!(5),
            "add {l}, 6144",
            "add {r}, 6144",
            "dec {n}",
            "jnz 2b",
            l = inout(reg) left => _,
            r = inout(reg) right => _,
            n = inout(reg) steps => _,
            s = in(reg) 64_usize,
            options(nostack, readonly)
        );
    }
}
