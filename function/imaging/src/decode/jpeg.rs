//! JPEG pictures (ITU-T T.81), equal to what libjpeg-turbo makes of them to the last bit.
//!
//! Networks were trained, and references computed, on libjpeg's samples. Where T.81 leaves the arithmetic
//! open, in the inverse transform, the upsampling of chrominance and the conversion to RGB, this takes
//! libjpeg's defaults (`JDCT_ISLOW`, fancy upsampling), and for CMYK Pillow's conversion.
//!
//! Sequential and progressive pictures with Huffman codes and samples of 8 bits are read. One difference is
//! left: libjpeg smooths the blocks of progressive pictures whose scans never give the AC coefficients in
//! full; here they are taken as they are.

mod bits;
mod block;
mod colour;
mod error;
mod frame;
mod huffman;
mod idct;
mod markers;
mod progressive;
mod render;
mod scan;
mod sequential;
mod tables;
mod upsample;

#[cfg(test)]
mod tests;

use image::{RgbImage, metadata::Orientation};

use self::{
    bits::Bits,
    block::Block,
    colour::ColourSpace,
    error::JpegError,
    frame::Frame,
    markers::Markers,
    render::Renderer,
    scan::{Room, Scan, ScanComponent},
    tables::{Quantisation, Tables},
};
use super::{DecodeError, Limits};

/// How often the scans of a picture may pass over all of its blocks. Pictures need a dozen at most; without
/// a limit a few bytes a scan would cost as much time as the whole picture.
const MAX_PASSES: usize = 32;

/// Decodes a JPEG picture to RGB. Damage within the picture is tolerated as libjpeg does, a missing end is
/// not: half of the picture would be grey, and its objects not found.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
) -> Result<(RgbImage, Orientation), DecodeError> {
    let mut markers = Markers::new(bytes);
    if markers.next_marker()? != markers::START_OF_IMAGE {
        return Err(JpegError::Missing("start of image").into());
    }
    let mut header = Header::new();
    let frame = match header.read_to_stop(&mut markers)? {
        Stop::Frame(frame) => frame,
        Stop::Scan => return Err(JpegError::Missing("frame").into()),
        Stop::End => return Err(JpegError::NoScan.into()),
    };
    let (width, height) = (frame.width as u32, frame.height as u32);
    limits.check(width, height)?;

    match header.read_to_stop(&mut markers)? {
        Stop::Frame(_) => return Err(JpegError::Duplicate("frame").into()),
        Stop::Scan => {}
        Stop::End => return Err(JpegError::NoScan.into()),
    }
    let mut picture = Picture::new(frame, &header);
    picture.read_scan(&mut markers, &mut header.tables)?;
    if picture.pixels.is_some() {
        // Further scans would change nothing.
        markers.find_end()?;
    } else {
        loop {
            match header.read_to_stop(&mut markers)? {
                Stop::Frame(_) => return Err(JpegError::Duplicate("frame").into()),
                Stop::Scan => picture.read_scan(&mut markers, &mut header.tables)?,
                Stop::End => break,
            }
        }
    }
    let pixels = picture.render()?;
    let picture = RgbImage::from_raw(width, height, pixels).unwrap_or_default();
    Ok((picture, header.orientation))
}

/// What comes before the scans and between them.
struct Header {
    tables: Tables,
    /// Whether the file says that it is JFIF.
    has_jfif: bool,
    /// What Adobe's segment says of the colours.
    adobe_transform: Option<u8>,
    orientation: Orientation,
}

/// Where to go on with something else than [`Header`]s.
enum Stop {
    /// Behind the header of the frame.
    Frame(Frame),
    /// At the header of a scan.
    Scan,
    /// Behind the end of the image.
    End,
}

impl Header {
    fn new() -> Self {
        Self {
            tables: Tables::default(),
            has_jfif: false,
            adobe_transform: None,
            orientation: Orientation::NoTransforms,
        }
    }

    /// Reads segments up to one that needs more than a header.
    fn read_to_stop(&mut self, markers: &mut Markers<'_>) -> Result<Stop, JpegError> {
        let unsupported = |what| Err(JpegError::Unsupported(what));
        loop {
            match markers.next_marker()? {
                markers::START_OF_BASELINE_FRAME | markers::START_OF_EXTENDED_FRAME => {
                    return Ok(Stop::Frame(Frame::parse(markers.segment()?, false)?));
                }
                markers::START_OF_PROGRESSIVE_FRAME => {
                    return Ok(Stop::Frame(Frame::parse(markers.segment()?, true)?));
                }
                markers::START_OF_SCAN => return Ok(Stop::Scan),
                markers::END_OF_IMAGE => return Ok(Stop::End),

                markers::QUANTISATION_TABLES => {
                    self.tables.define_quantisation(markers.segment()?)?;
                }
                markers::HUFFMAN_TABLES => self.tables.define_huffman(markers.segment()?)?,
                markers::RESTART_INTERVAL => {
                    self.tables.define_restart_interval(markers.segment()?)?;
                }
                markers::APPLICATION_0 => self.read_jfif(markers.segment()?),
                markers::APPLICATION_1 => self.read_exif(markers.segment()?),
                markers::APPLICATION_14 => self.read_adobe(markers.segment()?),
                markers::APPLICATION_0..=markers::APPLICATION_15
                | markers::COMMENT
                | markers::NUMBER_OF_LINES
                | markers::ARITHMETIC_CONDITIONING => {
                    markers.segment()?;
                }
                markers::RESTART_0..=markers::RESTART_7 | markers::TEMPORARY => {}

                markers::START_OF_IMAGE => return Err(JpegError::Duplicate("start of image")),
                markers::START_OF_LOSSLESS_FRAME => return unsupported("lossless coding"),
                0xc5..=0xc7 | 0xcd..=0xcf => return unsupported("hierarchical coding"),
                0xc9..=0xcb => return unsupported("arithmetic coding"),
                marker => return Err(JpegError::ReservedMarker(marker)),
            }
        }
    }

    fn read_jfif(&mut self, segment: &[u8]) {
        self.has_jfif |= segment.len() >= 14 && segment.starts_with(b"JFIF\0");
    }

    fn read_adobe(&mut self, segment: &[u8]) {
        if let Some(&transform) = segment.get(11)
            && segment.starts_with(b"Adobe")
        {
            self.adobe_transform = Some(transform);
        }
    }

    fn read_exif(&mut self, segment: &[u8]) {
        let orientation = segment
            .strip_prefix(b"Exif\0\0")
            .and_then(Orientation::from_exif_chunk);
        if let Some(orientation) = orientation {
            self.orientation = orientation;
        }
    }
}

/// A picture on its way from scans to pixels.
struct Picture {
    frame: Frame,
    colour_space: ColourSpace,
    /// By component; empty before the first scan that is not all of the picture.
    coefficients: Vec<Vec<Block>>,
    /// RGB, after a scan that is all of the picture.
    pixels: Option<Vec<u8>>,
    /// By component: the table that was defined when its first scan began (T.81 B.2.4.1).
    quantisation: Vec<Option<Quantisation>>,
    /// How many blocks the scans passed over.
    passed: usize,
}

impl Picture {
    /// Without coefficients, at the first scan.
    fn new(frame: Frame, header: &Header) -> Self {
        Self {
            colour_space: ColourSpace::guess(&frame, header.has_jfif, header.adobe_transform),
            coefficients: Vec::new(),
            pixels: None,
            quantisation: vec![None; frame.components.len()],
            passed: 0,
            frame,
        }
    }

    /// Reads a scan, from its header on.
    fn read_scan(
        &mut self,
        markers: &mut Markers<'_>,
        tables: &mut Tables,
    ) -> Result<(), JpegError> {
        let scan = Scan::parse(markers.segment()?, &self.frame)?;
        let is_first = self.passed == 0;
        self.passed = self.passed.saturating_add(scan.blocks(&self.frame));
        if self.passed / MAX_PASSES > self.frame.blocks() {
            return Err(JpegError::TooManyScans);
        }
        if !self.frame.is_progressive {
            tables.complete_huffman();
        }
        for &ScanComponent { index, .. } in &scan.components {
            let slot = self.frame.components[index].quantisation;
            let table = tables.quantisation.get(slot).copied().flatten();
            let table = table.ok_or(JpegError::Missing("quantisation table"))?;
            self.quantisation[index].get_or_insert(table);
        }
        let mut bits = Bits::new(markers.rest());
        let is_whole = scan.components.len() == self.frame.components.len();
        if is_whole && is_first && !self.frame.is_progressive {
            self.render_scan(&scan, &mut bits, tables)?;
        } else {
            let rows = self.frame.mcus_high;
            if self.coefficients.is_empty() {
                self.coefficients = no_coefficients(&self.frame, rows);
            }
            let room = Room {
                coefficients: &mut self.coefficients,
                rows,
                clear: &mut |_| {},
            };
            scan.decode(&mut bits, &self.frame, tables, room)?;
        }
        markers.skip(bits.position());
        Ok(())
    }

    /// Makes the pixels of a scan that is all of the picture while it is read.
    fn render_scan(
        &mut self,
        scan: &Scan,
        bits: &mut Bits<'_>,
        tables: &Tables,
    ) -> Result<(), JpegError> {
        let mut renderer = self.renderer()?;
        let rows = Renderer::strip(&self.frame);
        let room = Room {
            coefficients: &mut no_coefficients(&self.frame, rows),
            rows,
            clear: &mut |coefficients| {
                let strip: Vec<&[Block]> = coefficients.iter().map(Vec::as_slice).collect();
                renderer.add(&strip);
                for blocks in coefficients {
                    blocks.fill([0; 64]);
                }
            },
        };
        scan.decode(bits, &self.frame, tables, room)?;
        self.pixels = Some(renderer.pixels());
        Ok(())
    }

    /// The pixels, RGB. Components without a scan count as 0.
    fn render(mut self) -> Result<Vec<u8>, JpegError> {
        if let Some(pixels) = self.pixels.take() {
            return Ok(pixels);
        }
        let mut renderer = self.renderer()?;
        let rows = Renderer::strip(&self.frame);
        for start in (0..self.frame.mcus_high).step_by(rows) {
            let components = self.frame.components.iter();
            let strip: Vec<&[Block]> = components
                .zip(&self.coefficients)
                .map(|(component, blocks)| &blocks[component.blocks_of_rows(start)..])
                .collect();
            renderer.add(&strip);
        }
        Ok(renderer.pixels())
    }

    fn renderer(&self) -> Result<Renderer<'_>, JpegError> {
        let quantisation = self.quantisation.iter();
        let quantisation = quantisation.map(|table| table.unwrap_or([0; 64])).collect();
        Renderer::new(&self.frame, quantisation, self.colour_space)
    }
}

/// By component, the coefficients of so many rows of MCUs: zeros.
fn no_coefficients(frame: &Frame, mcus_high: usize) -> Vec<Vec<Block>> {
    let components = frame.components.iter();
    components
        .map(|component| vec![[0; 64]; component.blocks_of_rows(mcus_high)])
        .collect()
}
