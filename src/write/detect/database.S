/* The built-in rules' first stage, compiled by the build (mk/rules.mk), as bytes of the program. */
    .section .rodata
    .globl detect_database_any, detect_database_any_end, detect_database_avx2, detect_database_avx2_end
    .balign 16
detect_database_any:
    .incbin "detect-0.hsdb"
detect_database_any_end:
    .balign 16
detect_database_avx2:
    .incbin "detect-1.hsdb"
detect_database_avx2_end:

    .section .note.GNU-stack, "", @progbits
