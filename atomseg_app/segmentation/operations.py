"""Operations of 3D segmentation; torch-free, for forms, --help and completion."""
