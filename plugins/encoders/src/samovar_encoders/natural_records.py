"""Systems of pictures of everything: SAM and what was made of it to be faster."""

from __future__ import annotations

from dataclasses import replace

from .model_record import ModelRecord
from .rules import IMAGENET_MEAN, IMAGENET_STD, Normalise, Output, PromptFrame, Resize

HERE = "samovar_encoders."
_IMAGENET = Normalise("unit", IMAGENET_MEAN, IMAGENET_STD)

SAM_VIT_B = ModelRecord(
    name="sam-vit-b",
    system="SAM",
    architecture="ViT-B/16, windows 14, 4 global blocks",
    builder=HERE + "vit:sam_vit_b",
    citation="Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643",
    checkpoints=("sam_vit_b_01ec64.pth",),
    homepage="https://github.com/facebookresearch/segment-anything",
    parity="sam_vit_b",
)
MOBILE_SAM = ModelRecord(
    name="mobile-sam",
    system="MobileSAM",
    architecture="TinyViT-5M",
    builder=HERE + "tiny_vit:mobile_sam",
    citation="Zhang et al., Faster Segment Anything, 2023, arXiv:2306.14289",
    checkpoints=("mobile_sam.pt",),
    homepage="https://github.com/ChaoningZhang/MobileSAM",
    parity="mobile_sam",
)
EFFICIENTVIT_L0 = ModelRecord(
    name="efficientvit-sam-l0",
    system="EfficientViT-SAM-L0",
    architecture="EfficientViT-L0, three-scale neck",
    builder=HERE + "efficientvit:efficientvit_sam_l0",
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
        EFFICIENTVIT_L0,
        name=f"efficientvit-sam-{size}",
        system=f"EfficientViT-SAM-{size.upper()}",
        architecture=f"EfficientViT-{size.upper()}, three-scale neck",
        builder=HERE + f"efficientvit:efficientvit_sam_{size}",
        encode_size=1024 if size.startswith("x") else 512,
        checkpoints=(f"efficientvit_sam_{size}.pt",),
        parity=f"efficientvit_sam_{size}",
        has_fixture=size == "l0",
    )
    for size in ("l0", "l1", "l2", "xl0", "xl1")
)
_EFFICIENT_SAM = tuple(
    ModelRecord(
        name=f"efficient-sam-{size}",
        system=f"EfficientSAM-{size.capitalize()}",
        architecture=f"ViT-{size.capitalize()}/16, global attention, own decoder",
        builder=HERE + f"efficient_sam:efficient_sam_{size}",
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
        builder=HERE + f"hiera:sam2_{long.replace('base+', 'base_plus')}",
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

NATURAL: tuple[ModelRecord, ...] = (
    SAM_VIT_B,
    replace(
        SAM_VIT_B,
        name="sam-vit-l",
        architecture="ViT-L/16, windows 14, 4 global blocks",
        builder=HERE + "vit:sam_vit_l",
        checkpoints=("sam_vit_l_0b3195.pth",),
        parity="",
    ),
    replace(
        SAM_VIT_B,
        name="sam-vit-h",
        architecture="ViT-H/16, windows 14, 4 global blocks",
        builder=HERE + "vit:sam_vit_h",
        checkpoints=("sam_vit_h_4b8939.pth",),
        parity="",
    ),
    replace(
        SAM_VIT_B,
        name="slimsam-50",
        system="SlimSAM-50",
        architecture="ViT-B/16 pruned to 384 channels",
        builder=HERE + "vit:slimsam_50",
        citation="Chen et al., SlimSAM, NeurIPS 2024, arXiv:2312.05284",
        checkpoints=("SlimSAM-50-uniform.pth",),
        homepage="https://github.com/czg1225/SlimSAM",
        parity="slimsam_p50_uniform",
    ),
    replace(
        SAM_VIT_B,
        name="slimsam-77",
        system="SlimSAM-77",
        architecture="ViT-B/16 pruned to 168 channels",
        builder=HERE + "vit:slimsam_77",
        citation="Chen et al., SlimSAM, NeurIPS 2024, arXiv:2312.05284",
        checkpoints=("SlimSAM-77-uniform.pth",),
        homepage="https://github.com/czg1225/SlimSAM",
        parity="slimsam_p77_uniform",
    ),
    MOBILE_SAM,
    replace(
        MOBILE_SAM,
        name="tiny-sam",
        system="TinySAM",
        citation="Shu et al., TinySAM, AAAI 2025, arXiv:2312.13789",
        checkpoints=("tinysam_42.3.pth",),
        homepage="https://github.com/xinghaochen/TinySAM",
        parity="tiny_sam",
        note="upstream always answers with the three ambiguous masks",
    ),
    *_EFFICIENTVIT,
    replace(
        SAM_VIT_B,
        name="repvit-sam",
        system="RepViT-SAM",
        architecture="RepViT-M2.3",
        builder=HERE + "repvit:repvit_sam",
        citation="Wang et al., RepViT-SAM, 2023, arXiv:2312.05760",
        checkpoints=("repvit_sam.pt",),
        homepage="https://github.com/THU-MIG/RepViT",
        parity="repvit_sam",
        lora_targets=("channel_mixer.m.0.c", "channel_mixer.m.2.c"),
    ),
    replace(
        SAM_VIT_B,
        name="edge-sam",
        system="EdgeSAM",
        architecture="RepViT-M1 with a two-level pyramid",
        builder=HERE + "repvit:edge_sam",
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
        MOBILE_SAM,
        name="nanosam",
        system="NanoSAM",
        architecture="ResNet-18 with an upsampling head",
        builder=HERE + "resnet_neck:nanosam",
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
    replace(
        MOBILE_SAM,
        name="hq-sam-light",
        system="HQ-SAM light",
        architecture="TinyViT-5M, high-quality mask token",
        builder=HERE + "hq_sam:hq_sam_light",
        citation="Ke et al., Segment Anything in High Quality, NeurIPS 2023, arXiv:2306.01567",
        checkpoints=("sam_hq_vit_tiny.pth",),
        homepage="https://github.com/SysCV/sam-hq",
        parity="hq_sam_tiny",
    ),
    *_SAM2,
    replace(
        _SAM2[0],
        name="edgetam",
        system="EdgeTAM",
        architecture="RepViT-M1, pyramid neck",
        builder=HERE + "edgetam:edgetam",
        citation="Zhou et al., EdgeTAM, CVPR 2025, arXiv:2501.07256",
        checkpoints=("edgetam.pt",),
        homepage="https://github.com/facebookresearch/EdgeTAM",
        parity="edgetam",
        lora_targets=("channel_mixer.conv1.c", "channel_mixer.conv2.c"),
        has_fixture=True,
    ),
)
