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

use image::metadata::Orientation;

use self::{
    block::Block,
    colour::ColourSpace,
    error::JpegError,
    frame::Frame,
    markers::Markers,
    render::Renderer,
    scan::{Scan, ScanComponent, ScanReader},
    tables::{Quantisation, Tables},
};
use super::{DecodeError, Limits};

/// How often the scans of a picture may pass over all of its blocks. Pictures need a dozen at most; without
/// a limit a few bytes a scan would cost as much time as the whole picture.
const MAX_PASSES: usize = 32;

/// A JPEG picture whose headers have been read, and whose pixels come a strip at a time.
///
/// All scans are read side by side, each up to the same row, so that only the coefficients of a strip are in
/// memory, of progressive pictures, too.
pub(crate) struct Rows<'a> {
    frame: Frame,
    orientation: Orientation,
    scans: Vec<Box<dyn ScanReader + 'a>>,
    /// By component, of a strip.
    coefficients: Vec<Vec<Block>>,
    renderer: Renderer,
    /// Rows of MCUs that have been read.
    finished: usize,
}

impl<'a> Rows<'a> {
    /// Reads all headers. Damage within the data is tolerated as libjpeg does, a missing end is not: half of the
    /// picture would be grey, and its objects not found.
    pub(super) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
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
        limits.check(frame.width as u32, frame.height as u32)?;

        match header.read_to_stop(&mut markers)? {
            Stop::Frame(_) => return Err(JpegError::Duplicate("frame").into()),
            Stop::Scan => {}
            Stop::End => return Err(JpegError::NoScan.into()),
        }
        let colour_space = ColourSpace::guess(&frame, header.has_jfif, header.adobe_transform);
        let mut scans = Scans::new(&frame);
        let is_whole = scans.add(&frame, &mut markers, &mut header.tables)?;
        if is_whole && !frame.is_progressive {
            // Further scans would change nothing.
            markers.find_end()?;
        } else {
            loop {
                if header.tables.restart_interval > 0 {
                    markers.skip_restarts();
                }
                match header.read_to_stop(&mut markers)? {
                    Stop::Frame(_) => return Err(JpegError::Duplicate("frame").into()),
                    Stop::Scan => {
                        scans.add(&frame, &mut markers, &mut header.tables)?;
                    }
                    Stop::End => break,
                }
            }
        }
        let components = frame.components.iter();
        let strip = Renderer::strip(&frame);
        Ok(Self {
            coefficients: components
                .map(|component| vec![[0; 64]; component.blocks_of_rows(strip)])
                .collect(),
            renderer: Renderer::new(&frame, scans.quantisation(), colour_space)?,
            orientation: header.orientation,
            scans: scans.readers,
            finished: 0,
            frame,
        })
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> [u32; 2] {
        [self.frame.width, self.frame.height].map(|side| side as u32)
    }

    pub(super) fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Appends those of the next rows that are wanted, RGB; whether there are more.
    pub(crate) fn read(&mut self, wanted: &[usize], pixels: &mut Vec<u8>) -> bool {
        let (frame, coefficients) = (&self.frame, &mut self.coefficients);
        let start = self.finished;
        let end = (start + Renderer::strip(frame)).min(frame.mcus_high);
        if start > 0 {
            for blocks in &mut *coefficients {
                blocks.fill([0; 64]);
            }
        }
        for scan in &mut self.scans {
            scan.read(frame, start..end, coefficients);
        }
        self.renderer
            .add(frame, start..end, coefficients, wanted, pixels);
        self.finished = end;
        end < frame.mcus_high
    }
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

/// The scans of a picture.
struct Scans<'a> {
    readers: Vec<Box<dyn ScanReader + 'a>>,
    /// By component: the table that was defined when its first scan began (T.81 B.2.4.1).
    quantisation: Vec<Option<Quantisation>>,
    /// How many blocks the scans pass over.
    passed: usize,
}

impl<'a> Scans<'a> {
    fn new(frame: &Frame) -> Self {
        Self {
            readers: Vec::new(),
            quantisation: vec![None; frame.components.len()],
            passed: 0,
        }
    }

    /// Reads the header of a scan; whether it has all components.
    fn add(
        &mut self,
        frame: &Frame,
        markers: &mut Markers<'a>,
        tables: &mut Tables,
    ) -> Result<bool, JpegError> {
        let scan = Scan::parse(markers.segment()?, frame)?;
        self.passed = self.passed.saturating_add(scan.blocks(frame));
        if self.passed / MAX_PASSES > frame.blocks() {
            return Err(JpegError::TooManyScans);
        }
        if !frame.is_progressive {
            tables.complete_huffman();
        }
        for &ScanComponent { index, .. } in &scan.components {
            let slot = frame.components[index].quantisation;
            let table = tables.quantisation.get(slot).copied().flatten();
            let table = table.ok_or(JpegError::Missing("quantisation table"))?;
            self.quantisation[index].get_or_insert(table);
        }
        self.readers
            .push(scan.reader(markers.rest(), frame, tables)?);
        Ok(scan.components.len() == frame.components.len())
    }

    /// By component. Those without a scan count as 0.
    fn quantisation(&self) -> Vec<Quantisation> {
        let tables = self.quantisation.iter();
        tables.map(|table| table.unwrap_or([0; 64])).collect()
    }
}
