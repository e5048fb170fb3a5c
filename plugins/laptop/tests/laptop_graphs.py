"""Small real ONNX graphs that find bright things: an encoder, and both kinds of decoder."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import numpy_helper
from onnx.parser import parse_model

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'

ENCODER = """
encoder (float[batch,3,64,64] image)
  => (float[batch,3,8,8] image_embeddings, float[batch,3,16,16] features_s4)
{
  image_embeddings = AveragePool<kernel_shape=[8,8], strides=[8,8]>(image)
  features_s4 = AveragePool<kernel_shape=[4,4], strides=[4,4]>(image)
}
"""

PROMPT_ENCODER = """
prompt_encoder (float[n,p,2] point_coords, int64[n,p] point_labels,
                float[n,1,32,32] mask_input, float[n,1] has_mask_input)
  => (float[n,p,3] sparse_embeddings, float[n,3,8,8] dense_embeddings)
<int64[1] last = {2}, int64[2] planes = {2,3}>
{
  labels = Cast<to=1>(point_labels)
  column = Unsqueeze(labels, last)
  sparse_embeddings = Concat<axis=2>(point_coords, column)
  small = AveragePool<kernel_shape=[4,4], strides=[4,4]>(mask_input)
  there = Unsqueeze(has_mask_input, planes)
  one = Mul(small, there)
  dense_embeddings = Concat<axis=1>(one, one, one)
}
"""

MASK_DECODER = """
mask_decoder (float[1,3,8,8] image_embeddings, float[1,3,16,16] features_s4,
              float[n,k,3] sparse_embeddings, float[n,3,8,8] dense_embeddings)
  => (float[n,4,32,32] low_res_masks, float[n,4] iou_predictions)
<float[1,4] quality = {0.9, 0.2, 0.8, 0.3}, float zero = {0.0}, float[4] scales = {1.0,1.0,2.0,2.0}>
{
  fused = Add(image_embeddings, dense_embeddings)
  hint = ReduceMean<axes=[1,2,3], keepdims=1>(fused)
  unused = Mul(hint, zero)
  bright = ReduceMean<axes=[1], keepdims=1>(features_s4)
  large = Resize<mode="linear">(bright, , scales)
  one = Add(large, unused)
  two = Neg(one)
  low_res_masks = Concat<axis=1>(one, two, one, two)
  told = ReduceMean<axes=[1,2], keepdims=0>(sparse_embeddings)
  nothing = Mul(told, zero)
  column = Unsqueeze(nothing, axis)
  iou_predictions = Add(column, quality)
}
""".replace("float zero", "int64[1] axis = {1}, float zero")

CLASSIC = """
decoder (float[1,3,8,8] image_embeddings, float[1,num_points,2] point_coords,
         float[1,num_points] point_labels, float[1,1,32,32] mask_input, float[1] has_mask_input,
         float[2] orig_im_size)
  => (float[a,b,c,d] masks, float[e,1] iou_predictions, float[f,1,32,32] low_res_masks)
<float[1,1] quality = {0.7}, float zero = {0.0}, float[4] scales = {1.0,1.0,4.0,4.0},
 int64[2] ones = {1,1}>
{
  bright = ReduceMean<axes=[1], keepdims=1>(image_embeddings)
  large = Resize<mode="linear">(bright, , scales)
  prior = Mul(mask_input, has_mask_input)
  low_res_masks = Add(large, prior)
  told = ReduceSum<keepdims=0>(point_labels)
  nothing = Mul(told, zero)
  iou_predictions = Add(quality, nothing)
  size = Cast<to=7>(orig_im_size)
  sizes = Concat<axis=0>(ones, size)
  masks = Resize<mode="linear">(low_res_masks, , , sizes)
}
"""

_REGION = """
decoder_roi (float[1,3,8,8] image_embeddings, float[1,3,16,16] features_s4, float[1,4] windows,
             float[1,p,2] point_coords, int64[1,p] point_labels)
  => (float[1,4,16,16] low_res_masks, float[1,4] iou_predictions)
<int64[1] four = {4}, float cell = {4.0}, int64[1] i0 = {0}, int64[1] i1 = {1}, int64[1] i2 = {2},
 int64[1] i3 = {3}, int64[2] eight = {8,8}, int64[2] axes = {2,3}, int64[4] size = {1,1,16,16},
 float[1,4] quality = {0.9, 0.2, 0.8, 0.3}, float zero = {0.0}>
{
  flat = Reshape(windows, four)
  scaled = Div(flat, cell)
  rounded = Round(scaled)
  cells = Cast<to=7>(rounded)
  x0 = Slice(cells, i0, i1)
  y0 = Slice(cells, i1, i2)
  x1 = Slice(cells, i2, i3)
  y1 = Slice(cells, i3, four)
  begin = Concat<axis=0>(y0, x0)
  far = Concat<axis=0>(y1, x1)
  square = Add(begin, eight)
  part = Slice(features_s4, begin, END, axes)
  bright = ReduceMean<axes=[1], keepdims=1>(part)
  one = Resize<mode="linear">(bright, , , size)
  two = Neg(one)
  low_res_masks = Concat<axis=1>(one, two, one, two)
  told = ReduceSum<keepdims=0>(point_coords)
  nothing = Mul(told, zero)
  iou_predictions = Add(quality, nothing)
}
"""
REGION_OF_TOKENS = _REGION.replace("END", "square")
"""Looks at four by four cells of the embedding, whatever the window's far corner."""
REGION_STRETCHED = _REGION.replace("END", "far")


def save(text: str, path: Path, *, external: str = "") -> Path:
    """Write a graph; with ``external``, its tensors go into a file of that name beside it."""
    model = parse_model(HEADER + text)
    onnx.checker.check_model(model)
    if external:
        for tensor in model.graph.initializer:
            if tensor.name == "quality":  # raw data moves out; shapes must stay
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
        onnx.save(model, path, save_as_external_data=True, location=external, size_threshold=0)
    else:
        onnx.save(model, path)
    return path


def two_faces(folder: Path) -> dict[str, str]:
    """Options of ``models bundle`` for a pair of graphs."""
    return {
        "encoder": str(save(ENCODER, folder / "enc.onnx")),
        "prompt_encoder": str(save(PROMPT_ENCODER, folder / "prompt.onnx")),
        "decoder": str(save(MASK_DECODER, folder / "dec.onnx")),
    }


def classic(folder: Path) -> dict[str, str]:
    """Options of ``models bundle`` for the single export."""
    return {
        "encoder": str(save(ENCODER, folder / "enc.onnx")),
        "decoder": str(save(CLASSIC, folder / "dec.onnx")),
    }
