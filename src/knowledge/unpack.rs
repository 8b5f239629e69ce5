//! Unpacking a file: gzip, Zstandard or zip, told by its content and checked against its checksum.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// What a file holds, unpacked; of more than `limit` bytes, only one byte more than that.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut head)?;
    if head == b"PK\x03\x04" {
        return zip(path, limit);
    }
    let whole = BufReader::new(head.chain(file));
    match head[..] {
        [0x1f, 0x8b, ..] => up_to(limit, MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => zstandard(whole, limit),
        _ => up_to(limit, whole),
    }
}

fn up_to(limit: u64, reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The one file of a zip archive.
fn zip(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(File::open(path)?)?;
    if archive.len() != 1 {
        return Err(io::Error::other(format!("the archive has {} files; one is expected", archive.len())));
    }
    let file = archive.by_index_raw(0)?;
    let (expected, is_stored) = (file.crc32(), file.compression() == zip::CompressionMethod::Stored);
    let bytes = match is_stored {
        true => up_to(limit, file)?,
        false => up_to(limit, DeflateDecoder::new(BufReader::new(file)))?,
    };
    let mut crc = flate2::Crc::new();
    crc.update(&bytes);
    match crc.sum() == expected || bytes.len() as u64 > limit {
        true => Ok(bytes),
        false => Err(damaged()),
    }
}

/// The frames of a Zstandard file one after the other (RFC 8878), those that hold other things skipped.
fn zstandard(mut source: impl BufRead, limit: u64) -> io::Result<Vec<u8>> {
    let (mut bytes, mut decoder) = (Vec::new(), FrameDecoder::new());
    while bytes.len() as u64 <= limit && !source.fill_buf()?.is_empty() {
        let frame = match StreamingDecoder::new_with_decoder(&mut source, &mut decoder) {
            Ok(frame) => frame,
            Err(error) => {
                skip(&mut source, error)?;
                continue;
            }
        };
        let left = limit + 1 - bytes.len() as u64;
        frame.take(left).read_to_end(&mut bytes)?;
        let told = decoder.get_checksum_from_data();
        if bytes.len() as u64 <= limit && told.is_some() && told != decoder.get_calculated_checksum() {
            return Err(damaged());
        }
    }
    Ok(bytes)
}

/// Goes past a frame that says it may be skipped.
fn skip(source: &mut impl BufRead, error: FrameDecoderError) -> io::Result<()> {
    let FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. }) = error else {
        return Err(io::Error::other(error));
    };
    match io::copy(&mut source.take(length.into()), &mut io::sink())? < length.into() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(()),
    }
}

fn damaged() -> io::Error {
    io::Error::other("the archive is damaged: its checksum does not fit")
}
