/* The table behind engine_error.h. */
#include "store/engine_error.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* Found out from the statement alone; or a limit, with its numbers. */
static bool text_is_safe(int code) {
    static const int safe[] = {
        8,   /* THERE_IS_NO_COLUMN */
        10,  /* NOT_FOUND_COLUMN_IN_BLOCK */
        16,  /* NO_SUCH_COLUMN_IN_TABLE */
        35,  /* TOO_LARGE_ARRAY... of arguments */
        42,  /* NUMBER_OF_ARGUMENTS_DOESNT_MATCH */
        43,  /* ILLEGAL_TYPE_OF_ARGUMENT */
        46,  /* UNKNOWN_FUNCTION */
        47,  /* UNKNOWN_IDENTIFIER */
        50,  /* UNKNOWN_TYPE */
        51,  /* EMPTY_LIST_OF_COLUMNS_QUERIED */
        53,  /* TYPE_MISMATCH */
        60,  /* UNKNOWN_TABLE */
        62,  /* SYNTAX_ERROR */
        80,  /* INCORRECT_QUERY */
        81,  /* UNKNOWN_DATABASE */
        115, /* UNKNOWN_SETTING */
        158, /* TOO_MANY_ROWS */
        159, /* TIMEOUT_EXCEEDED */
        164, /* READONLY */
        167, /* TOO_DEEP_AST */
        168, /* TOO_BIG_AST */
        179, /* MULTIPLE_EXPRESSIONS_FOR_ALIAS */
        181, /* ILLEGAL_FINAL */
        182, /* ILLEGAL_PREWHERE */
        184, /* ILLEGAL_AGGREGATION */
        191, /* SET_SIZE_LIMIT_EXCEEDED */
        207, /* AMBIGUOUS_IDENTIFIER */
        215, /* NOT_AN_AGGREGATE */
        241, /* MEMORY_LIMIT_EXCEEDED */
        305, /* TOO_MANY_ROWS_OR_BYTES... of a join */
        306, /* TOO_DEEP_RECURSION */
        307, /* TOO_MANY_BYTES */
        386, /* NO_COMMON_TYPE */
        394, /* QUERY_WAS_CANCELLED */
        396, /* TOO_MANY_ROWS_OR_BYTES */
        403, /* INVALID_JOIN_ON_EXPRESSION */
        456, /* UNKNOWN_QUERY_PARAMETER */
        457, /* BAD_QUERY_PARAMETER */
        497, /* ACCESS_DENIED */
    };
    for (size_t i = 0; i < sizeof safe / sizeof safe[0]; i++)
        if (safe[i] == code)
            return true;
    return false;
}

static int to_ours(int code) {
    switch (code) {
    case 158: /* too many rows */
    case 159: /* time-out */
    case 191: /* set */
    case 241: /* memory */
    case 307: /* too many bytes */
    case 396: /* result rows */
        return ERR_LIMIT;
    case 164: /* read-only */
    case 497: /* access denied */
        return ERR_DENIED;
    case 394: /* cancelled */
        return ERR_PEER;
    default:
        return ERR_SYNTAX;
    }
}

/* The name in the brackets that a text ends with. */
static void error_name(const char *text, char *out, size_t size) {
    const char *open = strrchr(text, '('), *close = open ? strchr(open, ')') : NULL;
    size_t n = 0;
    for (const char *p = open ? open + 1 : text; close && p < close; p++)
        if (n + 1 < size && (isupper((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_'))
            out[n++] = *p;
    out[n] = 0;
}

int engine_error(const char *text, struct store_answer *ret) {
    int code = 0;
    const char *said = text;
    if (sscanf(text, "Code: %d.", &code) == 1) {
        const char *p;
        while ((p = strstr(said, "DB::Exception: ")) != NULL) /* one in the other, of one error */
            said = p + strlen("DB::Exception: ");
    }
    ret->exception = (uint32_t)code;
    if (text_is_safe(code)) {
        /* A limit may be met in the middle of a part, which is then named with its path. */
        const char *part = strstr(said, "(while reading");
        snprintf(ret->why, sizeof ret->why, "%.*s", (int)(part ? part - said : (long)strnlen(said, STORE_WHY_BYTES)),
                 said);
    } else {
        char name[64];
        error_name(text, name, sizeof name);
        snprintf(ret->why, sizeof ret->why, "the statement failed while it ran: %s", *name ? name : "internal error");
    }
    return to_ours(code);
}
