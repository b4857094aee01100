//! AAC as films, phones and broadcasts have it: LC with any number of channels, HE-AAC with or without parametric stereo.
//!
//! symphonia reads the container and hands over access units; syom decodes them. (symphonia's own decoder refuses more than
//! two channels, and gives half of the sample rate for HE-AAC that does not announce itself.)

use symphonia::core::audio::{
    AsGenericAudioBufferRef, Audio as _, AudioBuffer, AudioMut as _, AudioSpec, Channels, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::{Error, Result, decode_error, unsupported_error};
use symphonia::core::packet::PacketRef;
use syom::{AacError, DecodeOptions};

static INFO: CodecInfo = CodecInfo {
    short_name: "aac",
    long_name: "Advanced Audio Coding",
    profiles: &[],
};

/// Sample rates by their index in an AudioSpecificConfig (ISO/IEC 14496-3, table 1.18).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];

/// Decodes access units of AAC.
pub(super) struct AacDecoder {
    config: Vec<u8>,
    decoder: syom::Decoder,
    parameters: AudioCodecParameters,
    buffer: AudioBuffer<f32>,
}

impl AacDecoder {
    /// # Errors
    /// `Unsupported` for kinds of AAC that syom does not know.
    pub fn new(parameters: &AudioCodecParameters) -> Result<Self> {
        let config = match &parameters.extra_data {
            Some(config) => config.to_vec(),
            None => config_of(parameters)?,
        };
        let decoder = syom::Decoder::from_asc(&config, DecodeOptions::unbounded()).map_err(refused)?;
        Ok(Self {
            config,
            decoder,
            parameters: parameters.clone(),
            buffer: AudioBuffer::new(AudioSpec::new(44_100, Channels::Discrete(1)), 0),
        })
    }

    fn decode_unit(&mut self, unit: &[u8]) -> std::result::Result<(), AacError> {
        if self.decoder.is_failed() {
            self.decoder.reset();
            self.decoder.set_asc(&self.config)?;
        }
        let buffer = &mut self.buffer;
        self.decoder.decode_au(unit, |frame| {
            let spec = AudioSpec::new(frame.sample_rate, Channels::Discrete(frame.planar.len() as u16));
            if *buffer.spec() != spec {
                *buffer = AudioBuffer::new(spec, frame.samples);
            }
            buffer.grow_capacity(frame.samples);
            buffer.clear();
            buffer.render_uninit(Some(frame.samples));
            for (index, samples) in frame.planar.iter().enumerate() {
                if let Some(plane) = buffer.plane_mut(index) {
                    plane.copy_from_slice(samples);
                }
            }
            Ok(())
        })
    }
}

/// An AudioSpecificConfig for AAC-LC, where the stream's own headers stand for it (ADTS).
fn config_of(parameters: &AudioCodecParameters) -> Result<Vec<u8>> {
    let rate = parameters.sample_rate.unwrap_or(0);
    let Some(rate) = RATES.iter().position(|known| *known == rate) else {
        return unsupported_error("AAC of an unusual sample rate");
    };
    let channels = match parameters.channels.as_ref().map_or(0, Channels::count) {
        count @ 1..=6 => count,
        8 => 7,
        _ => return unsupported_error("AAC of an unusual number of channels"),
    };
    // 5 bits: the kind (2, LC); 4: the rate; 4: the channels; 3: 1024 samples a frame, nothing else.
    let bits = (2_u16 << 11) | ((rate as u16) << 7) | ((channels as u16) << 3);
    Ok(bits.to_be_bytes().to_vec())
}

fn refused(error: AacError) -> Error {
    match error {
        AacError::Unsupported(_) => Error::Unsupported("AAC of a rare kind"),
        _ => Error::DecodeError("aac: damaged"),
    }
}

impl AudioDecoder for AacDecoder {
    fn reset(&mut self) {
        self.decoder.reset();
        // It was taken before.
        let _ = self.decoder.set_asc(&self.config);
    }

    fn codec_info(&self) -> &CodecInfo {
        &INFO
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.parameters
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        self.decode_unit(packet.data).map_err(refused)?;
        if self.buffer.is_empty() {
            return decode_error("aac: an access unit without sound");
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
