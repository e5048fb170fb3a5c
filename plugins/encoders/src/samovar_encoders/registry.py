"""Every system of the plugin: what it is, how it wants its input, where it comes from.

Frozen records, read without importing torch. ``builder`` (``"module:function"``) makes the module
with freshly initialised weights; upstream's key names are its state dict's.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .errors import UnknownModel
from .rules import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    SAM_MEAN,
    SAM_STD,
    Normalise,
    Output,
    PromptFrame,
    Resize,
)

if TYPE_CHECKING:
    from torch import Tensor

    from .model import PromptableModel


# SAM's own rules are the defaults
_RESIZE, _NORMALISE, _FRAME, _OUTPUT = Resize(), Normalise(), PromptFrame(), Output()


@dataclass(frozen=True)
class ModelRecord:
    """One checkpoint format of one system."""

    name: str
    """What ``samovar models import --as`` takes."""
    system: str
    builder: str
    citation: str
    architecture: str = ""
    encode_size: int = 1024
    grid: int = 64
    """Side of the embedding."""
    resize: Resize = _RESIZE
    normalise: Normalise = _NORMALISE
    frame: PromptFrame = _FRAME
    output: Output = _OUTPUT
    code_licence: str = "Apache-2.0"
    weights_licence: str = "Apache-2.0"
    checkpoints: tuple[str, ...] = ()
    """File names as upstream publishes them; several are loaded together."""
    wrappers: tuple[str, ...] = ()
    """Keys under which a checkpoint may hold its state dict; the first that is there counts."""
    prefixes: tuple[str, ...] = ("module.",)
    """Cut off the front of every key when all keys have it."""
    renaming: str = ""
    """``"module:function"`` that brings the keys and shapes of a file to those of the module."""
    optional_keys: tuple[str, ...] = ()
    """Beginnings of keys that a checkpoint may lack or have too many."""
    modalities: tuple[str, ...] = ("rgb",)
    dimensions: int = 2
    homepage: str = ""
    parity: str = ""
    """Folder with upstream's key layout, and fixtures if any; empty when there is none."""
    has_fixture: bool = True
    """Upstream's numbers were recorded; otherwise only keys and shapes are checked."""
    note: str = ""
    lora_targets: tuple[str, ...] = ("attn.qkv", "attn.proj")
    """Ends of the names of the encoder's layers that low-rank adapters go to."""

    @property
    def region_tokens(self) -> int:
        """Side of the square of cells that the region decoder looks at: a quarter of the grid's."""
        return self.grid // 4

    @property
    def stride(self) -> int:
        """Units of the prompt frame that a cell of the embedding is wide."""
        return self.frame.size // self.grid

    @property
    def can_be_bundle(self) -> bool:
        """Pictures and prompts in: what a bundle of three graphs can express."""
        return self.dimensions == 2 and bool(self.frame.kinds)

    def build(self) -> PromptableModel:
        """The torch module, randomly initialised, in train mode."""
        return _named(self.builder)()

    def renamed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """One file's tensors under the module's keys."""
        return _named(self.renaming)(state) if self.renaming else state


def _named(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


SAM_PAPER = "Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643"
_HERE = "samovar_encoders."
_MINMAX = Normalise("minmax", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_IMAGENET = Normalise("unit", IMAGENET_MEAN, IMAGENET_STD)
_MEDICAL = ("ct", "mr", "us", "xr", "pet", "rgb")

_SAM_VIT_B = ModelRecord(
    name="sam-vit-b",
    system="SAM",
    architecture="ViT-B/16, windows 14, 4 global blocks",
    builder=_HERE + "vit:sam_vit_b",
    citation=SAM_PAPER,
    checkpoints=("sam_vit_b_01ec64.pth",),
    homepage="https://github.com/facebookresearch/segment-anything",
    parity="sam_vit_b",
)
_MOBILE_SAM = ModelRecord(
    name="mobile-sam",
    system="MobileSAM",
    architecture="TinyViT-5M",
    builder=_HERE + "tiny_vit:mobile_sam",
    citation="Zhang et al., Faster Segment Anything, 2023, arXiv:2306.14289",
    checkpoints=("mobile_sam.pt",),
    homepage="https://github.com/ChaoningZhang/MobileSAM",
    parity="mobile_sam",
)
_LITE_MEDSAM = ModelRecord(
    name="lite-medsam",
    system="LiteMedSAM",
    architecture="TinyViT-5M with an unstrided stem",
    builder=_HERE + "tiny_vit:lite_medsam",
    citation="Ma et al., Segment Anything in Medical Images, Nat Commun 2024 (laptop challenge)",
    encode_size=256,
    resize=Resize("opencv-area"),
    normalise=_MINMAX,
    frame=PromptFrame(256, "isotropic32", whole_boxes=True, kinds=("box",)),
    output=Output(selection="first-token"),
    checkpoints=("lite_medsam.pth",),
    wrappers=("model",),
    modalities=_MEDICAL,
    homepage="https://github.com/bowang-lab/MedSAM/tree/LiteMedSAM",
    parity="lite_medsam",
)

_EFFICIENTVIT_L0 = ModelRecord(
    name="efficientvit-sam-l0",
    system="EfficientViT-SAM-L0",
    architecture="EfficientViT-L0, three-scale neck",
    builder=_HERE + "efficientvit:efficientvit_sam_l0",
    citation="Zhang et al., EfficientViT-SAM, CVPRW 2024, arXiv:2402.05008",
    encode_size=512,
    normalise=Normalise(
        "unit",
        (123.675 / 255, 116.28 / 255, 103.53 / 255),
        (58.395 / 255, 57.12 / 255, 57.375 / 255),
    ),
    checkpoints=("efficientvit_sam_l0.pt",),
    wrappers=("state_dict",),
    homepage="https://github.com/mit-han-lab/efficientvit",
    parity="efficientvit_sam_l0",
    lora_targets=("context_module.main.qkv.conv", "context_module.main.proj.conv"),
)
_EFFICIENTVIT = tuple(
    replace(
        _EFFICIENTVIT_L0,
        name=f"efficientvit-sam-{size}",
        system=f"EfficientViT-SAM-{size.upper()}",
        architecture=f"EfficientViT-{size.upper()}, three-scale neck",
        builder=_HERE + f"efficientvit:efficientvit_sam_{size}",
        encode_size=1024 if size.startswith("x") else 512,
        checkpoints=(f"efficientvit_sam_{size}.pt",),
        parity=f"efficientvit_sam_{size}",
        has_fixture=size == "l0",
    )
    for size in ("l0", "l1", "l2", "xl0", "xl1")
)
_MEDFICIENT = tuple(
    replace(
        _EFFICIENTVIT_L0,
        name=f"medficientsam-{size}",
        system=f"MedficientSAM-{size.upper()}",
        architecture=f"EfficientViT-{size.upper()}, three-scale neck",
        builder=_HERE + f"efficientvit:medficientsam_{size}",
        citation="Le et al., MedficientSAM, CVPR 2024 MedSAM on Laptop challenge",
        resize=Resize("linear-uint8"),
        normalise=_MINMAX,
        frame=PromptFrame(512, "isotropic32", whole_boxes=True, kinds=("box",)),
        output=Output(selection="first-token"),
        checkpoints=("best.ckpt",),
        wrappers=("state_dict",),
        prefixes=("model.", "module."),
        modalities=_MEDICAL,
        homepage="https://github.com/hieplpvip/medficientsam",
        parity=f"medficientsam_{size}",
        has_fixture=size == "l1",
    )
    for size in ("l0", "l1", "l2")
)
_DAFT = replace(
    _EFFICIENTVIT_L0,
    name="daft-l0",
    system="DAFT",
    architecture="EfficientViT-L0 at 256 pixels, one model a modality",
    builder=_HERE + "efficientvit:daft_l0",
    citation="Pfefferle et al., DAFT: Data-Aware Fine-Tuning of Foundation Models for Efficient "
    "and Effective Medical Image Segmentation, CVPR 2024 MedSAM on Laptop challenge",
    encode_size=256,
    resize=Resize("opencv-area"),
    normalise=_MINMAX,
    frame=_LITE_MEDSAM.frame,
    output=Output(selection="first-token"),
    code_licence="BSD-3-Clause",
    weights_licence="BSD-3-Clause",
    checkpoints=("general_finetuned.pth",),
    wrappers=("model",),
    modalities=_MEDICAL,
    homepage="https://github.com/automl/CVPR24-MedSAM-on-Laptop",
    parity="daft_l0",
)
_EFFICIENT_SAM = tuple(
    ModelRecord(
        name=f"efficient-sam-{size}",
        system=f"EfficientSAM-{size.capitalize()}",
        architecture=f"ViT-{size.capitalize()}/16, global attention, own decoder",
        builder=_HERE + f"efficient_sam:efficient_sam_{size}",
        citation="Xiong et al., EfficientSAM, CVPR 2024, arXiv:2312.00863",
        resize=Resize("linear", "stretch", scaled=True),
        normalise=_IMAGENET,
        frame=PromptFrame(1024, "stretch32", padding="six", kinds=("point", "box"), max_points=6),
        output=Output(via_frame=False, kernel="bicubic"),
        checkpoints=(f"efficient_sam_vit{size[0]}.pt",),
        wrappers=("model",),
        homepage="https://github.com/yformer/EfficientSAM",
        parity=f"efficient_sam_{size}",
    )
    for size in ("ti", "s")
)
_SAM2 = tuple(
    ModelRecord(
        name=f"sam2.1-{short}",
        system=f"SAM 2.1 {long}",
        architecture=f"Hiera-{short.upper()}, pyramid neck",
        builder=_HERE + f"hiera:sam2_{long.replace('base+', 'base_plus')}",
        citation="Ravi et al., SAM 2, 2024, arXiv:2408.00714",
        resize=Resize("triangle", "stretch", scaled=True),
        normalise=_IMAGENET,
        frame=PromptFrame(1024, "stretch32", padding="always"),
        output=Output(via_frame=False, clamp=32.0),
        checkpoints=(f"sam2.1_hiera_{long.replace('base+', 'base_plus')}.pt",),
        wrappers=("model",),
        optional_keys=(
            "memory_",
            "maskmem_",
            "mask_downsample",
            "no_mem_pos_enc",
            "no_obj_",
            "obj_ptr_",
            "spatial_perceiver",
        ),
        homepage="https://github.com/facebookresearch/sam2",
        parity=f"sam2_1_hiera_{folder}",
        has_fixture=short == "t",
        note="the image model; the video memory is left out",
    )
    for short, long, folder in (("t", "tiny", "t"), ("s", "small", "s"), ("b+", "base+", "bplus"))
)
_SAM_MED3D = ModelRecord(
    name="sam-med3d",
    system="SAM-Med3D",
    architecture="ViT-B in 3-D, 128 voxels a side",
    builder=_HERE + "sam_med3d:sam_med3d",
    citation="Wang et al., SAM-Med3D, 2023, arXiv:2310.15161",
    encode_size=128,
    grid=8,
    frame=PromptFrame(128, "axis", kinds=("point", "negative-point", "mask")),
    output=Output(selection="first-token"),
    checkpoints=("sam_med3d_turbo.pth",),
    wrappers=("model_state_dict",),
    modalities=("ct", "mr", "us", "pet"),
    dimensions=3,
    homepage="https://github.com/uni-medical/SAM-Med3D",
    parity="sam_med3d",
    note="whole volumes of 128³ voxels at 1.5 mm; no bundle, no picture rules",
)

_RECORDS: tuple[ModelRecord, ...] = (
    _SAM_VIT_B,
    replace(
        _SAM_VIT_B,
        name="sam-vit-l",
        architecture="ViT-L/16, windows 14, 4 global blocks",
        builder=_HERE + "vit:sam_vit_l",
        checkpoints=("sam_vit_l_0b3195.pth",),
        parity="",
    ),
    replace(
        _SAM_VIT_B,
        name="sam-vit-h",
        architecture="ViT-H/16, windows 14, 4 global blocks",
        builder=_HERE + "vit:sam_vit_h",
        checkpoints=("sam_vit_h_4b8939.pth",),
        parity="",
    ),
    replace(
        _SAM_VIT_B,
        name="medsam",
        system="MedSAM",
        citation="Ma et al., Segment Anything in Medical Images, Nat Commun 2024",
        resize=Resize("spline-cubic", "stretch"),
        normalise=_MINMAX,
        frame=PromptFrame(1024, "stretch", kinds=("box",)),
        output=Output(via_frame=False, selection="first-token"),
        weights_licence="CC-BY-4.0",
        checkpoints=("medsam_vit_b.pth",),
        modalities=_MEDICAL,
        homepage="https://github.com/bowang-lab/MedSAM",
        parity="sam_vit_b",
        has_fixture=False,
        note="keys are SAM ViT-B's, whose numbers are compared; its own picture rules are not",
    ),
    replace(
        _SAM_VIT_B,
        name="slimsam-50",
        system="SlimSAM-50",
        architecture="ViT-B/16 pruned to 384 channels",
        builder=_HERE + "vit:slimsam_50",
        citation="Chen et al., SlimSAM, NeurIPS 2024, arXiv:2312.05284",
        checkpoints=("SlimSAM-50-uniform.pth",),
        homepage="https://github.com/czg1225/SlimSAM",
        parity="slimsam_p50_uniform",
    ),
    replace(
        _SAM_VIT_B,
        name="slimsam-77",
        system="SlimSAM-77",
        architecture="ViT-B/16 pruned to 168 channels",
        builder=_HERE + "vit:slimsam_77",
        citation="Chen et al., SlimSAM, NeurIPS 2024, arXiv:2312.05284",
        checkpoints=("SlimSAM-77-uniform.pth",),
        homepage="https://github.com/czg1225/SlimSAM",
        parity="slimsam_p77_uniform",
    ),
    _MOBILE_SAM,
    replace(
        _MOBILE_SAM,
        name="tiny-sam",
        system="TinySAM",
        citation="Shu et al., TinySAM, AAAI 2025, arXiv:2312.13789",
        checkpoints=("tinysam_42.3.pth",),
        homepage="https://github.com/xinghaochen/TinySAM",
        parity="tiny_sam",
        note="upstream always answers with the three ambiguous masks",
    ),
    _LITE_MEDSAM,
    *_EFFICIENTVIT,
    *_MEDFICIENT,
    _DAFT,
    replace(
        _SAM_VIT_B,
        name="repvit-sam",
        system="RepViT-SAM",
        architecture="RepViT-M2.3",
        builder=_HERE + "repvit:repvit_sam",
        citation="Wang et al., RepViT-SAM, 2023, arXiv:2312.05760",
        checkpoints=("repvit_sam.pt",),
        homepage="https://github.com/THU-MIG/RepViT",
        parity="repvit_sam",
        lora_targets=("channel_mixer.m.0.c", "channel_mixer.m.2.c"),
    ),
    replace(
        _SAM_VIT_B,
        name="edge-sam",
        system="EdgeSAM",
        architecture="RepViT-M1 with a two-level pyramid",
        builder=_HERE + "repvit:edge_sam",
        citation="Zhou et al., EdgeSAM, 2023, arXiv:2312.06660",
        output=Output(selection="stability"),
        code_licence="S-Lab-1.0 (non-commercial)",
        weights_licence="S-Lab-1.0 (non-commercial)",
        checkpoints=("edge_sam.pth", "edge_sam_3x.pth"),
        homepage="https://github.com/chongzhou96/EdgeSAM",
        parity="",
        lora_targets=("channel_mixer.m.0.c", "channel_mixer.m.2.c"),
        note="from the published architecture; keys unverified against the official checkpoint",
    ),
    *_EFFICIENT_SAM,
    replace(
        _MOBILE_SAM,
        name="nanosam",
        system="NanoSAM",
        architecture="ResNet-18 with an upsampling head",
        builder=_HERE + "resnet_neck:nanosam",
        citation="NVIDIA-AI-IOT, NanoSAM, 2023",
        resize=Resize("pillow-bicubic", rounding="down"),
        frame=PromptFrame(1024, "isotropic", padding="never"),
        output=Output(via_frame=False, crop="low-res"),
        checkpoints=("checkpoint.pth", "mobile_sam.pt"),
        wrappers=("model",),
        homepage="https://github.com/NVIDIA-AI-IOT/nanosam",
        parity="nanosam_resnet18",
        lora_targets=("conv1", "conv2"),
        note="two files: the encoder's training checkpoint and MobileSAM's for the decoder",
    ),
    ModelRecord(
        name="sam-med2d",
        system="SAM-Med2D",
        architecture="ViT-B/16 at 256 pixels with adapters",
        builder=_HERE + "sam_med2d:sam_med2d",
        citation="Cheng et al., SAM-Med2D, 2023, arXiv:2308.16184",
        encode_size=256,
        grid=16,
        resize=Resize("opencv-nearest", "stretch", after_normalising=True),
        frame=PromptFrame(256, "stretch"),
        checkpoints=("sam-med2d_b.pth",),
        wrappers=("model",),
        modalities=_MEDICAL,
        homepage="https://github.com/OpenGVLab/SAM-Med2D",
        parity="sam_med2d_vit_b",
    ),
    replace(
        _MOBILE_SAM,
        name="hq-sam-light",
        system="HQ-SAM light",
        architecture="TinyViT-5M, high-quality mask token",
        builder=_HERE + "hq_sam:hq_sam_light",
        citation="Ke et al., Segment Anything in High Quality, NeurIPS 2023, arXiv:2306.01567",
        checkpoints=("sam_hq_vit_tiny.pth",),
        homepage="https://github.com/SysCV/sam-hq",
        parity="hq_sam_tiny",
    ),
    replace(
        _SAM_VIT_B,
        name="samed",
        system="SAMed",
        architecture="ViT-B/16 at 512 pixels, LoRA of rank 4 on q and v, nine classes",
        builder=_HERE + "samed:samed",
        citation="Zhang and Liu, Customized Segment Anything Model for Medical Image "
        "Segmentation, 2023, arXiv:2304.13785",
        encode_size=512,
        grid=32,
        resize=Resize("spline-cubic", "stretch"),
        normalise=Normalise("scale", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        frame=PromptFrame(512, "stretch", kinds=()),
        output=Output(selection="class-argmax"),
        code_licence="MIT",
        weights_licence="MIT",
        checkpoints=("epoch_159.pth", "sam_vit_b_01ec64.pth"),
        renaming=_HERE + "samed:from_official",
        modalities=("ct",),
        homepage="https://github.com/hitachinsk/SAMed",
        parity="samed_vit_b",
        lora_targets=("qkv.qkv", "attn.proj"),
        note="prompt-free; two files: the LoRA matrices and SAM ViT-B's",
    ),
    replace(
        _MOBILE_SAM,
        name="esp-medsam",
        system="ESP-MedSAM",
        architecture="TinyViT-5M with a domain token, self-prompting, one query a modality",
        builder=_HERE + "esp_medsam:esp_medsam",
        citation="Xu et al., ESP-MedSAM, 2024, arXiv:2407.14153",
        resize=Resize("opencv-linear", "stretch"),
        normalise=Normalise(
            "standardise",
            tuple(255 * v for v in IMAGENET_MEAN),  # type: ignore[arg-type]
            tuple(255 * v for v in IMAGENET_STD),  # type: ignore[arg-type]
        ),
        frame=PromptFrame(1024, "stretch", kinds=()),
        output=Output(selection="modality-index"),
        checkpoints=("ESP_<dataset>_best.pth",),
        modalities=_MEDICAL,
        homepage="https://github.com/xq141839/ESP-MedSAM",
        parity="esp_medsam",
        note="prompt-free",
    ),
    *_SAM2,
    replace(
        _SAM2[0],
        name="edgetam",
        system="EdgeTAM",
        architecture="RepViT-M1, pyramid neck",
        builder=_HERE + "edgetam:edgetam",
        citation="Zhou et al., EdgeTAM, CVPR 2025, arXiv:2501.07256",
        checkpoints=("edgetam.pt",),
        homepage="https://github.com/facebookresearch/EdgeTAM",
        parity="edgetam",
        lora_targets=("channel_mixer.conv1.c", "channel_mixer.conv2.c"),
        has_fixture=True,
    ),
    _SAM_MED3D,
    replace(
        _SAM_MED3D,
        name="fastsam3d",
        system="FastSAM3D",
        architecture="ViT of 6 blocks in 3-D, the first two without attention",
        builder=_HERE + "sam_med3d:fastsam3d",
        citation="Shen et al., FastSAM3D, MICCAI 2024, arXiv:2403.09827",
        checkpoints=("6layers6heads_student.pth", "sam_med3d.pth"),
        homepage="https://github.com/arcadelab/FastSAM3D",
        parity="fastsam3d",
        note="two files: the student encoder and its teacher's checkpoint for the decoder",
    ),
)

RECORDS: dict[str, ModelRecord] = {record.name: record for record in _RECORDS}
"""All records by name."""


def record(name: str) -> ModelRecord:
    """The record called ``name``. Raises UnknownModel, listing the names."""
    try:
        return RECORDS[name]
    except KeyError:
        raise UnknownModel(
            f"no model is called {name!r}; choose one of {', '.join(sorted(RECORDS))}"
        ) from None


__all__ = ["RECORDS", "SAM_MEAN", "SAM_STD", "ModelRecord", "record"]
