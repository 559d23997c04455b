#ifndef STORE_ENGINE_ERROR_H
#define STORE_ENGINE_ERROR_H
/*
 * The engine's error texts, "Code: 47. DB::Exception: ... (UNKNOWN_IDENTIFIER)", to one of ours.
 *
 * What the engine says of a statement (its syntax, names, types) or of a limit goes to who asked; it quotes
 * the statement, so never to a log. What it says while rows are being read may quote a row, or a file of
 * the store: of that only the error's name is told.
 */
#include "store/store.h"

#define ENGINE_UNKNOWN_FORMAT 73

/* Fills exception and why. ERR_LIMIT, ERR_DENIED, ERR_PEER (cancelled) or ERR_SYNTAX. */
int engine_error(const char *text, struct store_answer *ret);

#endif
