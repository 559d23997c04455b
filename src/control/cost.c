/*
 * The arithmetic of cost.h, in the gateway's worker. The products are 128 bits wide and the sum is
 * kept from wrapping, so counts that a provider made up cannot make an exchange free.
 */
#include "control/cost.h"

#define MILLION 1000000u

typedef unsigned __int128 wide;

static wide add(wide sum, uint64_t tokens, uint64_t price) {
    wide product = (wide)tokens * price;
    return sum > ~(wide)0 - product ? ~(wide)0 : sum + product;
}

uint64_t cost_of(const struct cost_price *price, const struct cost_tokens *tokens) {
    /* Parts larger than the whole are a provider's mistake: each token is billed once. */
    uint64_t cached = tokens->cached < tokens->input ? tokens->cached : tokens->input;
    uint64_t rest = tokens->input - cached;
    uint64_t written = tokens->cache_write < rest ? tokens->cache_write : rest;
    wide sum = add(0, rest - written, price->input);
    sum = add(sum, cached, price->cached_input);
    sum = add(sum, written, price->cache_write);
    sum = add(sum, tokens->output, price->output);
    sum = add(sum, tokens->reasoning, price->output);
    wide nano = sum / MILLION + (sum % MILLION >= MILLION / 2);
    return nano > UINT64_MAX ? UINT64_MAX : (uint64_t)nano;
}
