"""Operations that a format lacks, written in operations that it has: one file each."""
