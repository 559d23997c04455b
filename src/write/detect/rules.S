/* The built-in rules, as bytes of the program. */
    .section .rodata
    .globl detect_rules_builtin, detect_rules_builtin_end
    .type detect_rules_builtin, @object
detect_rules_builtin:
    .incbin "src/write/detect/rules/cloud.yaml"
    .incbin "src/write/detect/rules/code.yaml"
    .incbin "src/write/detect/rules/products.yaml"
    .incbin "src/write/detect/rules/ai.yaml"
    .incbin "src/write/detect/rules/forms.yaml"
    .incbin "src/write/detect/rules/services.yaml"
    .incbin "src/write/detect/rules/china.yaml"
    .incbin "src/write/detect/rules/context.yaml"
    .incbin "src/write/detect/rules/people.yaml"
detect_rules_builtin_end:
    .byte 0
    .size detect_rules_builtin, detect_rules_builtin_end - detect_rules_builtin

/* Ordinary chat text, on which rules of the user's are timed (trial.c). */
    .globl detect_sample, detect_sample_end
    .type detect_sample, @object
detect_sample:
    .incbin "src/codec/dictionary/corpus/zh_chat.txt"
    .incbin "src/codec/dictionary/corpus/en_tools.txt"
detect_sample_end:
    .byte 0
    .size detect_sample, detect_sample_end - detect_sample

    .section .note.GNU-stack, "", @progbits
