/* The built-in rules, as bytes of the program. */
    .section .rodata
    .globl detect_rules_builtin, detect_rules_builtin_end
    .type detect_rules_builtin, @object
detect_rules_builtin:
    .incbin "src/write/detect/rules/machines.yaml"
    .incbin "src/write/detect/rules/services.yaml"
    .incbin "src/write/detect/rules/china.yaml"
    .incbin "src/write/detect/rules/context.yaml"
    .incbin "src/write/detect/rules/people.yaml"
detect_rules_builtin_end:
    .byte 0
    .size detect_rules_builtin, detect_rules_builtin_end - detect_rules_builtin

    .section .note.GNU-stack, "", @progbits
