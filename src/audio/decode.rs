//! Packets in, mono samples out, on a timeline that damage does not shift.
//!
//! Mono is the mean of all channels, as librosa's: the low-frequency channel of 5.1 sound included. A packet that
//! cannot be decoded becomes silence of its length. What lies before the wanted part is skipped without decoding where
//! the coding allows that exactly.

use std::io;
use std::ops::Range;

use symphonia::core::audio::{Audio, GenericAudioBufferRef};
use symphonia::core::codecs::audio::well_known::CODEC_ID_MP3;
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::packet::Packet;

use super::Error;
use super::open::{Opened, Rounding, Stamps};
use crate::vector::on_vectors;

/// Unreadable packets in a row after which the rest of a file is given up.
const MAX_ERRORS: u32 = 64;
/// Undecodable packets in a row after which the rest of a file is given up: about a minute.
const MAX_DAMAGED: u32 = 4_096;
/// Packets of other tracks in a row after which a file is given up.
const MAX_FOREIGN: u32 = 1 << 20;
/// Shorter jumps of the time stamp than this part of a second are rounding.
const MIN_GAPS_A_SECOND: u64 = 50;
/// Longest stretch of missing sound that is filled with silence, in seconds.
const MAX_GAP: u64 = 60;

/// Decodes one file from its start to its end.
pub(super) struct Decoder {
    opened: Opened,
    /// Of the next packet's first sample, in samples from the start of the sound; negative within the encoder's delay.
    position: i64,
    /// Packets whose result is thrown away, because the decoder has not seen what came before.
    warming: u64,
    skipped: bool,
    block: Vec<f32>,
    planes: Vec<Vec<f32>>,
    decoded: u64,
    damaged: u64,
    damaged_in_row: u32,
    faults: Vec<String>,
}

/// Consecutive mono samples.
pub(super) struct Block<'a> {
    /// Samples from the start of the sound.
    pub start: u64,
    pub samples: &'a [f32],
}

impl Decoder {
    pub fn new(mut opened: Opened) -> Self {
        Self {
            faults: std::mem::take(&mut opened.faults),
            position: -i64::try_from(opened.habits.delay).unwrap_or(i64::MAX),
            opened,
            warming: 0,
            skipped: false,
            block: Vec::new(),
            planes: Vec::new(),
            decoded: 0,
            damaged: 0,
            damaged_in_row: 0,
        }
    }

    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// How many samples of this range there will be, by the file's headers; never more than a few minutes, as headers lie.
    pub fn expects(&self, range: &Range<u64>) -> usize {
        let rate = u64::from(self.opened.rate);
        let stated = self.opened.seconds.map_or(60, |seconds| seconds.ceil() as u64).min(600) * rate;
        let end = range.end.min(stated + rate);
        end.saturating_sub(range.start) as usize
    }

    /// The next block; `None` at the end. Sound before `wanted_from` may be left out.
    ///
    /// # Errors
    /// [`Error::NoDecoder`] where the first packets show that the coding cannot be decoded here, [`Error::Damaged`]
    /// where nothing could be decoded up to the end, [`Error::Unreadable`] where the system would not read on.
    pub fn next_block(&mut self, wanted_from: u64) -> Result<Option<Block<'_>>, Error> {
        loop {
            if self
                .opened
                .habits
                .length
                .is_some_and(|length| self.position >= length as i64)
                || self.damaged_in_row > MAX_DAMAGED
            {
                return self.end();
            }
            let Some(packet) = self.next_packet()? else {
                return self.end();
            };
            let duration = self.duration(&packet);
            if self.fill_gap(&packet) {
                // The packet itself would be lost: it is decoded now, behind the silence.
                self.append(&packet, duration)?;
            } else if self.can_skip(duration, wanted_from) {
                self.position = self.position.saturating_add(duration as i64);
                self.skipped = true;
                continue;
            } else {
                self.block.clear();
                self.append(&packet, duration)?;
            }
            let start = self.position;
            self.position = start.saturating_add(self.block.len() as i64);
            // Cut the encoder's delay and padding.
            let from = usize::try_from(-start).unwrap_or(0).min(self.block.len());
            let to = match self.opened.habits.length {
                Some(length) => usize::try_from((length as i64).saturating_sub(start)).unwrap_or(0),
                None => self.block.len(),
            };
            let to = to.clamp(from, self.block.len());
            if from < to {
                return Ok(Some(Block {
                    start: start.max(0) as u64,
                    samples: &self.block[from..to],
                }));
            }
        }
    }

    /// Samples up to here: of the whole file, once [`Self::next_block`] gave `None`.
    pub fn length(&self) -> u64 {
        let position = self.position.max(0) as u64;
        self.opened
            .habits
            .length
            .map_or(position, |length| position.min(length))
    }

    /// What was wrong with the file, in words; to be asked at the end.
    pub fn into_faults(mut self) -> Vec<String> {
        match self.damaged {
            0 => {}
            1 => self.faults.push("1 damaged frame replaced by silence".into()),
            count => self.faults.push(format!("{count} damaged frames replaced by silence")),
        }
        self.faults
    }

    fn end(&mut self) -> Result<Option<Block<'_>>, Error> {
        if self.damaged_in_row > MAX_DAMAGED {
            self.give_up();
        }
        self.note_what_is_missing();
        if self.decoded == 0 && self.damaged > 0 && !self.skipped {
            return Err(Error::Damaged {
                path: self.opened.path.clone(),
                reason: format!("not one of its {} frames can be decoded", self.damaged),
            });
        }
        Ok(None)
    }

    /// Frames of MP3 that lost their headers are not seen at all; the count in the file's first frame tells.
    fn note_what_is_missing(&mut self) {
        if let Some(length) = self.opened.habits.length
            && let Some(missing @ 1..) = (length as i64).checked_sub(self.position)
        {
            let rate = f64::from(self.opened.rate);
            let (missing, length) = (missing as f64 / rate, length as f64 / rate);
            self.faults.push(format!(
                "{missing:.3} s of the {length:.3} s that its header promises are missing"
            ));
        }
    }

    fn give_up(&mut self) {
        let seconds = self.position.max(0) as f64 / f64::from(self.opened.rate);
        self.faults.push(format!("unreadable from {seconds:.2} s on"));
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        let (mut errors, mut foreign) = (0, 0);
        loop {
            let next = match self.opened.read_ahead.pop_front() {
                Some(packet) => Ok(Some(packet)),
                None => self.opened.reader.next_packet(),
            };
            match next {
                Ok(Some(packet)) if packet.track_id == self.opened.track.id => return Ok(Some(packet)),
                Ok(Some(_)) => foreign += 1,
                Ok(None) => return Ok(None),
                Err(Symphonia::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    // Output of unknown length always ends like this.
                    let fault = "the file ends too early";
                    if self.opened.ffmpeg.is_none() && !self.faults.iter().any(|known| known == fault) {
                        self.faults.push(fault.into());
                    }
                    return Ok(None);
                }
                Err(Symphonia::IoError(source)) => {
                    return Err(Error::Unreadable {
                        path: self.opened.path.clone(),
                        source,
                    });
                }
                Err(Symphonia::ResetRequired) => {
                    // Another stream begins (chained Ogg): it goes on only where it is of the same kind.
                    self.faults.push("a second stream after the first was left out".into());
                    return Ok(None);
                }
                Err(_) => errors += 1,
            }
            if errors > MAX_ERRORS || foreign > MAX_FOREIGN {
                self.give_up();
                return Ok(None);
            }
        }
    }

    /// Samples in a packet, by what its header or its container says.
    fn duration(&self, packet: &Packet) -> u64 {
        if self.opened.parameters.codec == CODEC_ID_MP3 {
            // 2 granules of 576 samples in MPEG 1, one in MPEG 2 and 2.5. (The reader counts the encoder's delay
            // twice.)
            let first_version = packet.data.get(1).is_some_and(|byte| byte & 0b1_1000 == 0b1_1000);
            return if first_version { 1_152 } else { 576 };
        }
        self.to_samples(packet.block_dur().get())
    }

    fn to_samples(&self, ticks: u64) -> u64 {
        let Some(base) = self.opened.track.time_base else {
            return ticks;
        };
        let scaled = u128::from(ticks) * u128::from(base.numer.get()) * u128::from(self.opened.rate);
        u64::try_from(scaled / u128::from(base.denom.get())).unwrap_or(u64::MAX)
    }

    /// Puts silence where the time stamp shows that sound is missing; says whether it did.
    fn fill_gap(&mut self, packet: &Packet) -> bool {
        if self.opened.habits.stamps != Stamps::Written {
            return false;
        }
        let stamp = packet.pts.get().saturating_sub(self.opened.track.start_ts.get());
        let stamp = self.to_samples(u64::try_from(stamp).unwrap_or(0));
        let Some(gap @ 1..) = stamp.checked_sub(self.position.max(0) as u64) else {
            return false;
        };
        let rate = u64::from(self.opened.rate);
        if gap < rate / MIN_GAPS_A_SECOND || gap > MAX_GAP * rate {
            return false;
        }
        let seconds = gap as f64 / f64::from(self.opened.rate);
        self.faults
            .push(format!("{seconds:.3} s are missing; silence stands for them"));
        self.block.clear();
        self.block.resize(gap as usize, 0.0);
        true
    }

    fn can_skip(&self, duration: u64, wanted_from: u64) -> bool {
        self.opened.habits.warm_up.is_some_and(|packets| {
            let ahead = duration.saturating_mul(packets + 1) as i64;
            self.position.saturating_add(ahead) <= wanted_from as i64
        })
    }

    /// Decodes a packet to the end of the block; silence of `duration` where that fails.
    fn append(&mut self, packet: &Packet, duration: u64) -> Result<(), Error> {
        if self.skipped {
            self.opened.decoder.reset();
            self.skipped = false;
            self.warming = self.opened.habits.warm_up.unwrap_or(0);
        }
        let warming = self.warming > 0;
        self.warming = self.warming.saturating_sub(1);
        let rate = self.opened.rate;
        match self.opened.decoder.decode(packet) {
            Ok(buffer) if buffer.spec().rate() == rate => {
                self.decoded += 1;
                self.damaged_in_row = 0;
                mix(&buffer, self.opened.habits.rounding, &mut self.planes, &mut self.block);
                return Ok(());
            }
            Err(Symphonia::Unsupported(reason)) if self.decoded == 0 => {
                return Err(Error::NoDecoder {
                    path: self.opened.path.clone(),
                    coding: reason.to_owned(),
                });
            }
            Ok(_) | Err(_) => {}
        }
        if !warming {
            self.damaged += 1;
        }
        self.damaged_in_row += 1;
        let silence = duration.min(u64::from(rate)) as usize;
        self.block.resize(self.block.len() + silence, 0.0);
        Ok(())
    }
}

/// Appends the mean of all channels to `block`.
fn mix(buffer: &GenericAudioBufferRef<'_>, rounding: Rounding, planes: &mut Vec<Vec<f32>>, block: &mut Vec<f32>) {
    if let GenericAudioBufferRef::F32(buffer) = buffer {
        let planes: Vec<&[f32]> = (0..buffer.num_planes())
            .filter_map(|index| buffer.plane(index))
            .collect();
        append_mean(&planes, rounding, block);
    } else {
        buffer.copy_to_vecs_planar(planes);
        let planes: Vec<&[f32]> = planes.iter().map(Vec::as_slice).collect();
        append_mean(&planes, rounding, block);
    }
}

/// The mean of `planes`, summed in their order in 32 bits as numpy does it.
fn append_mean(planes: &[&[f32]], rounding: Rounding, block: &mut Vec<f32>) {
    let begin = block.len();
    block.resize(begin + planes.first().map_or(0, |plane| plane.len()), 0.0);
    let target = &mut block[begin..];
    on_vectors(
        #[inline(always)]
        || match rounding {
            Rounding::None => mean(planes, target, |sample| sample),
            // Adding and taking away 1.5 · 2²³ leaves the nearest whole number, ties to even, also on vectors.
            Rounding::Sixteen => mean(planes, target, |sample| {
                ((sample * 32_768.0).clamp(-32_768.0, 32_767.0) + 12_582_912.0 - 12_582_912.0) / 32_768.0
            }),
        },
    );
}

#[inline(always)]
fn mean(planes: &[&[f32]], target: &mut [f32], round: impl Fn(f32) -> f32) {
    let count = planes.len() as f32;
    match planes {
        [only] => target.iter_mut().zip(*only).for_each(|(mean, a)| *mean = round(*a)),
        [left, right] => {
            for (mean, (a, b)) in target.iter_mut().zip(left.iter().zip(*right)) {
                *mean = (round(*a) + round(*b)) / 2.0;
            }
        }
        _ => {
            for plane in planes {
                target.iter_mut().zip(*plane).for_each(|(sum, a)| *sum += round(*a));
            }
            target.iter_mut().for_each(|sum| *sum /= count);
        }
    }
}
