//! The messages for values: scalars, texts and images.

use protobuf::RepeatedField;
use tensorboard_proto::summary::{Summary, Summary_Value, SummaryMetadata, SummaryMetadata_PluginData};
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::tensor_shape::{TensorShapeProto, TensorShapeProto_Dim};
use tensorboard_proto::types::DataType;

/// The longest side of an image, in pixels.
const LARGEST_IMAGE: u32 = 16_384;

pub(super) fn scalar(tag: &str, value: f64) -> Summary {
    tensorboard_rs::summary::scalar(tag, value as f32)
}

/// Markdown.
pub(super) fn text(tag: &str, markdown: &str) -> Summary {
    let mut tensor = tensor(DataType::DT_STRING, 1);
    tensor.set_string_val(RepeatedField::from_vec(vec![markdown.as_bytes().to_vec()]));
    of_plugin("text", Vec::new(), tag, tensor)
}

/// An image, interleaved RGB, rows from the top. What is wrong with it, where `rgb` does not hold `3 · width · height` bytes.
pub(super) fn image(tag: &str, (width, height): (u32, u32), rgb: &[u8]) -> Result<Summary, String> {
    let bytes = 3 * u64::from(width) * u64::from(height);
    let sides = 1..=LARGEST_IMAGE;
    if !sides.contains(&width) || !sides.contains(&height) || rgb.len() as u64 != bytes {
        let given = rgb.len();
        return Err(format!(
            "image `{tag}` left out: {width}×{height} pixels in {given} bytes"
        ));
    }
    // What the function calls "CHW" is: 3, width, height. In the message it then takes width for height.
    let mut summary = tensorboard_rs::summary::image(tag, rgb, &[3, width as usize, height as usize]);
    for value in summary.mut_value().iter_mut() {
        let image = value.mut_image();
        image.set_width(i32::try_from(width).unwrap_or_default());
        image.set_height(i32::try_from(height).unwrap_or_default());
    }
    Ok(summary)
}

/// A tensor of one dimension, of no content yet.
pub(super) fn tensor(kind: DataType, size: i64) -> TensorProto {
    let mut dimension = TensorShapeProto_Dim::new();
    dimension.set_size(size);
    let mut shape = TensorShapeProto::new();
    shape.set_dim(RepeatedField::from_vec(vec![dimension]));
    let mut tensor = TensorProto::new();
    tensor.set_dtype(kind);
    tensor.set_tensor_shape(shape);
    tensor
}

/// A value that belongs to one of TensorBoard's pages; `content` is what that page wants to know about it.
pub(super) fn of_plugin(plugin: &str, content: Vec<u8>, tag: &str, tensor: TensorProto) -> Summary {
    let mut data = SummaryMetadata_PluginData::new();
    data.set_plugin_name(plugin.to_string());
    data.set_content(content);
    let mut metadata = SummaryMetadata::new();
    metadata.set_plugin_data(data);

    let mut value = Summary_Value::new();
    value.set_tag(tag.to_string());
    value.set_metadata(metadata);
    value.set_tensor(tensor);
    let mut summary = Summary::new();
    summary.set_value(RepeatedField::from_vec(vec![value]));
    summary
}
