"""Systems of medical pictures and volumes."""

from __future__ import annotations

from dataclasses import replace

from .model_record import ModelRecord
from .natural_records import EFFICIENTVIT_L0, HERE, MOBILE_SAM, SAM_VIT_B
from .rules import IMAGENET_MEAN, IMAGENET_STD, Normalise, Output, PromptFrame, Resize

_MINMAX = Normalise("minmax", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_MEDICAL = ("ct", "mr", "us", "xr", "pet", "rgb")

_LITE_MEDSAM = ModelRecord(
    name="lite-medsam",
    system="LiteMedSAM",
    architecture="TinyViT-5M with an unstrided stem",
    builder=HERE + "tiny_vit:lite_medsam",
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
_MEDFICIENT = tuple(
    replace(
        EFFICIENTVIT_L0,
        name=f"medficientsam-{size}",
        system=f"MedficientSAM-{size.upper()}",
        architecture=f"EfficientViT-{size.upper()}, three-scale neck",
        builder=HERE + f"efficientvit:medficientsam_{size}",
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
    EFFICIENTVIT_L0,
    name="daft-l0",
    system="DAFT",
    architecture="EfficientViT-L0 at 256 pixels, one model a modality",
    builder=HERE + "efficientvit:daft_l0",
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
_SAM_MED3D = ModelRecord(
    name="sam-med3d",
    system="SAM-Med3D",
    architecture="ViT-B in 3-D, 128 voxels a side",
    builder=HERE + "sam_med3d:sam_med3d",
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
    segmenter=HERE + "volume_segmenter:VolumeSegmenter",
    note="windows of 128³ voxels at 1.5 mm",
)

MEDICAL: tuple[ModelRecord, ...] = (
    replace(
        SAM_VIT_B,
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
    _LITE_MEDSAM,
    *_MEDFICIENT,
    _DAFT,
    ModelRecord(
        name="sam-med2d",
        system="SAM-Med2D",
        architecture="ViT-B/16 at 256 pixels with adapters",
        builder=HERE + "sam_med2d:sam_med2d",
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
        SAM_VIT_B,
        name="samed",
        system="SAMed",
        architecture="ViT-B/16 at 512 pixels, LoRA of rank 4 on q and v, nine classes",
        builder=HERE + "samed:samed",
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
        renaming=HERE + "samed:from_official",
        modalities=("ct",),
        homepage="https://github.com/hitachinsk/SAMed",
        parity="samed_vit_b",
        lora_targets=("qkv.qkv", "attn.proj"),
        note="prompt-free; two files: the LoRA matrices and SAM ViT-B's",
    ),
    replace(
        MOBILE_SAM,
        name="esp-medsam",
        system="ESP-MedSAM",
        architecture="TinyViT-5M with a domain token, self-prompting, one query a modality",
        builder=HERE + "esp_medsam:esp_medsam",
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
    _SAM_MED3D,
    replace(
        _SAM_MED3D,
        name="fastsam3d",
        system="FastSAM3D",
        architecture="ViT of 6 blocks in 3-D, the first two without attention",
        builder=HERE + "sam_med3d:fastsam3d",
        citation="Shen et al., FastSAM3D, MICCAI 2024, arXiv:2403.09827",
        checkpoints=("6layers6heads_student.pth", "sam_med3d.pth"),
        homepage="https://github.com/arcadelab/FastSAM3D",
        parity="fastsam3d",
        note="two files: the student encoder and its teacher's checkpoint for the decoder",
    ),
)
