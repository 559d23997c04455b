#ifndef LLM_WORDS_H
#define LLM_WORDS_H
/*
 * Names that may stand in clear columns: closed lists of this source, so that no outside text gets
 * there. Each gives `name` itself if it is known, else "other", and "" for "".
 */
#include <stdbool.h>
#include <stdint.h>

const char *models_known(const char *name);
const char *words_finish(const char *reason);
/* The error class of an exchange; "" = none. */
const char *words_error(uint16_t status, bool error_in_answer);

#endif
