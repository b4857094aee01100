//! MP3: symphonia finds the frames, nanomp3 decodes them, in two thirds of the time that symphonia's own decoder takes.

use nanomp3_core::{Channels as Mp3Channels, DecodeError, Decoder, MAX_SAMPLES_PER_FRAME};
use symphonia::core::audio::{
    AsGenericAudioBufferRef, Audio as _, AudioBuffer, AudioMut as _, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::{Result, decode_error};
use symphonia::core::packet::PacketRef;

static INFO: CodecInfo = CodecInfo {
    short_name: "mp3",
    long_name: "MPEG-1, MPEG-2 and MPEG-2.5 Audio Layer III",
    profiles: &[],
};

/// Decodes frames of MP3, one a packet, with nothing cut off at the start or the end.
pub(super) struct Mp3Decoder {
    decoder: Decoder,
    parameters: AudioCodecParameters,
    /// Of one frame, interleaved.
    samples: Box<[f32]>,
    buffer: AudioBuffer<f32>,
}

impl Mp3Decoder {
    pub fn new(parameters: &AudioCodecParameters) -> Self {
        Self {
            decoder: Decoder::new(),
            parameters: parameters.clone(),
            samples: vec![0.0; MAX_SAMPLES_PER_FRAME].into(),
            buffer: AudioBuffer::new(AudioSpec::new(44_100, Channels::Discrete(2)), MAX_SAMPLES_PER_FRAME / 2),
        }
    }

    /// A buffer for frames of this kind.
    fn prepare(&mut self, rate: u32, channels: u16, frames: usize) {
        let fits = self.buffer.spec().rate() == rate && self.buffer.spec().channels().count() == usize::from(channels);
        if !fits {
            let spec = AudioSpec::new(rate, Channels::Discrete(channels));
            self.buffer = AudioBuffer::new(spec, MAX_SAMPLES_PER_FRAME / 2);
        }
        self.buffer.clear();
        self.buffer.render_uninit(Some(frames));
    }
}

impl AudioDecoder for Mp3Decoder {
    fn reset(&mut self) {
        self.decoder = Decoder::new();
    }

    fn codec_info(&self) -> &CodecInfo {
        &INFO
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.parameters
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        let (used, result) = self.decoder.decode(packet.data, &mut self.samples);
        let info = match result {
            // A frame that is found elsewhere than at the packet's start is not the packet's.
            Ok(info) if used == packet.data.len() && info.layer == 3 && info.sample_rate > 0 => info,
            Err(DecodeError::ReservoirUnavailable(_)) => return decode_error("mp3: what a frame borrows is missing"),
            _ => return decode_error("mp3: a damaged frame"),
        };
        let frames = info.samples_produced;
        match info.channels {
            Mp3Channels::Mono => {
                self.prepare(info.sample_rate, 1, frames);
                if let Some(plane) = self.buffer.plane_mut(0) {
                    plane.copy_from_slice(&self.samples[..frames]);
                }
            }
            Mp3Channels::Stereo => {
                self.prepare(info.sample_rate, 2, frames);
                if let Some((left, right)) = self.buffer.plane_pair_mut(0, 1) {
                    let pairs = self.samples.as_chunks::<2>().0;
                    for ((left, right), pair) in left.iter_mut().zip(right).zip(pairs) {
                        [*left, *right] = *pair;
                    }
                }
            }
        }
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}
