/* The shipped dictionaries, as bytes of the program. A dictionary that was shipped once stays. */
    .section .rodata
    .balign 16
    .globl codec_dictionary_1, codec_dictionary_1_end
    .type codec_dictionary_1, @object
codec_dictionary_1:
    .incbin "src/codec/dictionary/1.zdict"
codec_dictionary_1_end:
    .byte 0
    .size codec_dictionary_1, codec_dictionary_1_end - codec_dictionary_1

    .section .note.GNU-stack, "", @progbits
