#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H
/*
 * Every ceiling of Safehouse, in one place. Bytes unless the name says otherwise.
 */
#define LIMIT_REQUEST_BODY (32u << 20)   /* default; `max_body` in the configuration */
#define LIMIT_BODY_MEMORY (256u << 20)   /* default; bodies that a gateway worker holds */
#define LIMIT_ANSWER_BODY (64u << 20)    /* one answer; beyond it the exchange is cut */
#define LIMIT_TURN_PLAIN (128u << 20)    /* a turn before compression, and after decompression */
#define LIMIT_JSON_DEPTH 128             /* nesting of outside JSON */
#define LIMIT_MESSAGES 65536             /* messages in one request */
#define LIMIT_CHOICES 128                /* `n` of one request */
#define LIMIT_TOOL_CALLS 256             /* tool calls in one answer message */
#define LIMIT_NAME 64                    /* project, tenant, provider, dialect, error class */
#define LIMIT_CODE 32                    /* an error's code, in bodies and clear columns */
#define LIMIT_LABELS (64u << 10)         /* session, trace and tags of one exchange, encoded */
#define LIMIT_LABEL 256                  /* the text of one of them */
#define LIMIT_MODEL 128                  /* a model's name */
#define LIMIT_SUBJECT_NAME 512           /* `user` and its kin */
#define LIMIT_KEYS 65536                 /* API keys of one installation */
#define LIMIT_PROJECTS 4096              /* projects of one installation */
#define LIMIT_PROVIDERS 64               /* providers of one configuration */
#define LIMIT_PROVIDER_KEYS 16           /* credentials of one provider */
#define LIMIT_CREDENTIAL 512             /* one of them, with NUL */
#define LIMIT_ROUTES 1024                /* routes of one configuration, aliases as well */
#define LIMIT_CANDIDATES 16              /* providers and fallbacks of one route */
#define LIMIT_PRICES 1024                /* models with a price */
#define LIMIT_ALLOWED_MODELS 64          /* models that one key or project may use */
#define LIMIT_TAGS 16                    /* tags of one interaction */
#define LIMIT_FINDING_ROWS 256           /* rows of findings of one interaction */
#define LIMIT_WORKER_SLOTS 128           /* gateway workers at one time, leaving ones included */
#define LIMIT_SQL (256u << 10)           /* a statement */
#define LIMIT_PARAMETERS 256             /* parameters of one statement */
#define LIMIT_PARAMETER_BYTES (256u << 10) /* all of them, names and values */
#define LIMIT_CONSOLE_QUERY (2u << 20)   /* a statement with its parameters, and the projects that it sees */
#define LIMIT_DATA_PIECE (1u << 20)      /* of a result in one message; a shorter one is the last of what the engine gave */
#define LIMIT_COMMAND 16384              /* a command of the console's, with its options */
#define LIMIT_SECRET 16384               /* a value that is asked for */
#define LIMIT_SECRET_TAG (128u << 10)    /* it, and the classes and keys it is tagged by */
#define LIMIT_MARKS_BYTES 8192           /* high-water marks in one message */
#define LIMIT_REASON 1024                /* why somebody reads */
#define LIMIT_PASSWORD 256               /* of a person */
#define LIMIT_PASSWORD_MIN 12            /* and at least */
#define LIMIT_GRANT_PROJECTS 1024        /* projects of one grant, joined by commas */
#define LIMIT_PLAN_CELLS 100000          /* cells that are planned to be opened for one approval */
#define LIMIT_PLAN_QUERY 4096            /* the statement that a plan says it comes from */
#define LIMIT_OPEN_CELLS 4096            /* cells in one opening request */
#define LIMIT_REPORT 32768               /* a report from outside */
#define LIMIT_REPORT_TYPE 64             /* its content type */
#define LIMIT_REPORTS 4096               /* reports that the vault keeps */
#define LIMIT_FRAME (16u << 20)          /* one message between programs, but for cells */
#define LIMIT_CELL (160u << 20)          /* a sealed cell on its way to be opened, and its text */
#define LIMIT_BATCH_ROWS 8192            /* rows of all tables in one batch */
#define LIMIT_BATCH_BYTES (64u << 20)    /* after this a batch is closed */
#define LIMIT_BATCH_AGE_MS 1000          /* a batch is closed at this age */
#define LIMIT_SPOOL_FSYNC_MS 100         /* group fsync at the latest */
#define LIMIT_SPOOL_FRAME (160u << 20)   /* one row on its way to the store */
#define LIMIT_DATA_KEY_RECORDS 1024      /* records under one data key */
#define LIMIT_DATA_KEY_AGE_S 3600        /* and its age */
/* Memory that hashing the opening passphrase takes (Argon2id, 3 passes), MiB. The least is what RFC 9106,
 * section 4, recommends where memory is short. */
#define LIMIT_PASSPHRASE_MIB_MIN 64u
#define LIMIT_PASSPHRASE_MIB 256u /* unless somebody chose another */
#define LIMIT_PASSPHRASE_MIB_MAX 2048u

#endif
