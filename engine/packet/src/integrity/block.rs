//! MACs of a block cipher in CBC mode. AES-XCBC-MAC (RFC 3566) and AES-CMAC (RFC 4493) are one construction: they differ only
//! in how the key of the chain and the two masks of the last block come about.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aws_lc_rs::error::Unspecified;
use zeroize::{Zeroize, Zeroizing};

const BLOCK: usize = 16;
type Block = [u8; BLOCK];

/// A scheduled key.
pub(super) struct BlockMacKey {
    cipher: Aes128,
    /// Goes over a last block that is full.
    full: Zeroizing<Block>,
    /// Goes over a last block that was padded.
    padded: Zeroizing<Block>,
}

/// A MAC in the making.
pub(super) struct BlockMac<'key> {
    key: &'key BlockMacKey,
    chain: Block,
    /// The newest octets: the last block is masked, so that a full one waits until it is known not to be the last.
    waiting: Block,
    waits: usize,
}

fn schedule(key: &[u8]) -> Result<Aes128, Unspecified> {
    Aes128::new_from_slice(key).map_err(|_| Unspecified)
}

fn encrypt(cipher: &Aes128, block: &mut Block) {
    cipher.encrypt_block(<&mut Array<u8, _>>::from(block));
}

fn encrypted(cipher: &Aes128, mut block: Block) -> Zeroizing<Block> {
    encrypt(cipher, &mut block);
    Zeroizing::new(block)
}

/// Multiplication by x in GF(2^128), in constant time (RFC 4493 section 2.3).
fn doubled(block: &Block) -> Zeroizing<Block> {
    let number = u128::from_be_bytes(*block);
    let carry = 0u128.wrapping_sub(number >> 127) & 0x87;
    Zeroizing::new((number << 1 ^ carry).to_be_bytes())
}

fn xor(block: &mut Block, other: &[u8]) {
    block
        .iter_mut()
        .zip(other)
        .for_each(|(octet, other)| *octet ^= other);
}

impl BlockMacKey {
    /// AES-XCBC-MAC (RFC 3566 section 4). Err for a key that is not of 16 octets.
    pub(super) fn xcbc(key: &[u8]) -> Result<BlockMacKey, Unspecified> {
        let given = schedule(key)?;
        Ok(BlockMacKey {
            cipher: schedule(&*encrypted(&given, [1; BLOCK]))?,
            full: encrypted(&given, [2; BLOCK]),
            padded: encrypted(&given, [3; BLOCK]),
        })
    }

    /// AES-CMAC (RFC 4493 section 2.3). Err for a key that is not of 16 octets.
    pub(super) fn cmac(key: &[u8]) -> Result<BlockMacKey, Unspecified> {
        let cipher = schedule(key)?;
        let full = doubled(&encrypted(&cipher, [0; BLOCK]));
        let padded = doubled(&full);
        Ok(BlockMacKey {
            cipher,
            full,
            padded,
        })
    }

    /// Begin a MAC.
    pub(super) fn start(&self) -> BlockMac<'_> {
        BlockMac {
            key: self,
            chain: [0; BLOCK],
            waiting: [0; BLOCK],
            waits: 0,
        }
    }
}

impl BlockMac<'_> {
    /// Cover more octets.
    pub(super) fn update(&mut self, octets: &[u8]) {
        let (first, rest) = octets.split_at(octets.len().min(BLOCK - self.waits));
        self.waiting[self.waits..][..first.len()].copy_from_slice(first);
        self.waits += first.len();
        // Each turn takes at least one octet, and leaves one to sixteen waiting.
        for block in rest.chunks(BLOCK) {
            let waiting = self.waiting;
            self.chain(&waiting);
            self.waiting[..block.len()].copy_from_slice(block);
            self.waits = block.len();
        }
    }

    fn chain(&mut self, block: &Block) {
        xor(&mut self.chain, block);
        encrypt(&self.key.cipher, &mut self.chain);
    }

    /// The MAC over all that was covered.
    pub(super) fn finish(mut self) -> Block {
        let mut last = self.waiting;
        if self.waits == BLOCK {
            xor(&mut last, &*self.key.full);
        } else {
            last[self.waits..].fill(0);
            last[self.waits] = 0x80;
            xor(&mut last, &*self.key.padded);
        }
        self.chain(&last);
        let mac = self.chain;
        self.chain.zeroize();
        mac
    }
}
