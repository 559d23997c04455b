#ifndef CONTROL_COST_H
#define CONTROL_COST_H
/*
 * What an exchange costs: tokens times price, in nano of the price table's currency
 * (control/money.h). Pure, exact integer arithmetic; linked by the gateway.
 *
 * The counts are in the shape of OpenAI's usage: `input` holds everything that was read, `cached`
 * and `cache_write` are the parts of it that have prices of their own. From the dialects:
 *
 *   OpenAI     input = prompt_tokens (input_tokens), cached = prompt_tokens_details.cached_tokens,
 *              cache_write = ...cache_write_tokens where there is one, output = completion_tokens,
 *              reasoning = 0 (they are in the output)
 *   DeepSeek   input = prompt_tokens, cached = prompt_cache_hit_tokens, output = completion_tokens
 *   Anthropic  input = input_tokens + cache_read_input_tokens + cache_creation_input_tokens,
 *              cached = cache_read_input_tokens, cache_write = cache_creation_input_tokens,
 *              output = output_tokens
 *
 * `reasoning` is for providers that count thinking beside the output; it is billed as output.
 */
#include <stdint.h>

struct cost_price { /* nano for a million tokens */
    uint64_t input, cached_input, cache_write, output;
};

struct cost_tokens {
    uint64_t input, cached, cache_write, output, reasoning;
};

/* Rounded half up to a whole nano once, at the end; UINT64_MAX when it does not fit. */
uint64_t cost_of(const struct cost_price *price, const struct cost_tokens *tokens);

#endif
