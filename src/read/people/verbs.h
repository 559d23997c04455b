#ifndef PEOPLE_VERBS_H
#define PEOPLE_VERBS_H
/*
 * What MSG_PERSON asks for: u8 verb and the verb's fields in the order of its line (doc/people.md). Alone
 * in a header, since those who ask know nothing else of this module.
 */
enum people_verb {
    PEOPLE_VERB_ADD = 1,      /* s8 name | s16 password (may be empty: none) */
    PEOPLE_VERB_REMOVE = 2,   /* s8 name */
    PEOPLE_VERB_GRANT = 3,    /* s8 name | u8 role | u32 cells | u64 expires | s16 projects */
    PEOPLE_VERB_UNGRANT = 4,  /* s8 name | u8 role (0: by number) | u32 number */
    PEOPLE_VERB_PASSWORD = 5, /* s8 name | s16 new one | s16 old one (empty: as an admin) | s8 code */
    PEOPLE_VERB_TOTP = 6,     /* s8 name | u8 1 make, 2 confirm, 3 remove | s8 code (of 2) */
    PEOPLE_VERB_TOKEN = 7,    /* s8 name | s8 label | u64 expires */
    PEOPLE_VERB_UNTOKEN = 8,  /* s8 name | s8 label */
    PEOPLE_VERB_LIST = 9,     /* nothing */
};

/* The roles' names in the order of enum people_role, from 1 on. */
#define PEOPLE_ROLE_NAMES "analyst", "reader", "admin", "eraser", "auditor"

#endif
