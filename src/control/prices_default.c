/*
 * Public list prices in USD for a million tokens, as the providers' pages gave them on the day
 * beside each block. Standard tier, not batch, flex, priority or regional. Where a model costs more
 * above a prompt length the lower, usual price is here; where it costs more at some hours, the
 * higher. Cache writes are those of the shortest retention. Replace what is old in the
 * configuration.
 */
#include "control/prices.h"

/* Dollars and thousandths, so that the table reads as the pages do: 2.50 is USD(2, 500). */
#define USD(whole, thousandths) ((whole)*1000000000ull + (thousandths)*1000000ull)

#define P(name, in, cached, write, out)                                                            \
    {                                                                                              \
        name, {                                                                                    \
            in, cached, write, out                                                                 \
        }                                                                                          \
    }
/* No price of its own for what is written into a cache: it is input. */
#define Q(name, in, cached, out) P(name, in, cached, in, out)

const char prices_default_as_of[] = "2026-11-18";

const struct price_default prices_default[] = {
    /* developers.openai.com/api/docs/models/gpt-6.2-sol, and the release of 2026-11-17; Astra's
     * cache writes by OpenAI's rule of 1.25 times input */
    P("gpt-6.2-astra", USD(8, 0), USD(0, 400), USD(10, 0), USD(40, 0)),
    P("gpt-6.2-sol", USD(2, 0), USD(0, 100), USD(2, 500), USD(10, 0)),
    /* developers.openai.com/api/docs/models, 2026-11-05 */
    P("gpt-6.1-terra", USD(1, 0), USD(0, 50), USD(1, 250), USD(5, 0)),
    P("gpt-6.1-sol", USD(2, 0), USD(0, 100), USD(2, 500), USD(10, 0)),
    P("gpt-6-astra", USD(10, 0), USD(1, 0), USD(12, 500), USD(50, 0)),
    P("gpt-6-sol", USD(2, 0), USD(0, 200), USD(2, 500), USD(10, 0)),
    P("gpt-6-luna", USD(0, 100), USD(0, 10), USD(0, 125), USD(0, 500)),
    /* developers.openai.com/api/docs/models/gpt-5.6-luna and siblings, after the cuts of
     * 2026-07-30; writes are 1.25 times input */
    P("gpt-5.6", USD(4, 0), USD(0, 400), USD(5, 0), USD(20, 0)),
    P("gpt-5.6-sol", USD(4, 0), USD(0, 400), USD(5, 0), USD(20, 0)),
    P("gpt-5.6-terra", USD(2, 0), USD(0, 200), USD(2, 500), USD(12, 0)),
    P("gpt-5.6-luna", USD(0, 200), USD(0, 20), USD(0, 250), USD(1, 200)),
    /* OpenAI's models of before, as listed 2026-07-24 */
    Q("gpt-5.5-pro", USD(30, 0), USD(3, 0), USD(180, 0)),
    Q("gpt-5.5", USD(5, 0), USD(0, 500), USD(30, 0)),
    Q("gpt-5.4-pro", USD(30, 0), USD(3, 0), USD(180, 0)),
    Q("gpt-5.4", USD(2, 500), USD(0, 250), USD(15, 0)),
    Q("gpt-5.4-mini", USD(0, 750), USD(0, 75), USD(4, 500)),
    Q("gpt-5.4-nano", USD(0, 200), USD(0, 20), USD(1, 250)),
    Q("gpt-5.3-codex", USD(1, 750), USD(0, 175), USD(14, 0)),
    Q("gpt-5.2-pro", USD(21, 0), USD(21, 0), USD(168, 0)),
    Q("gpt-5.2", USD(1, 750), USD(0, 175), USD(14, 0)),
    Q("gpt-5.2-codex", USD(1, 750), USD(0, 175), USD(14, 0)),
    Q("gpt-5.1", USD(1, 250), USD(0, 125), USD(10, 0)),
    Q("gpt-5.1-codex", USD(1, 250), USD(0, 125), USD(10, 0)),
    Q("gpt-5.1-codex-max", USD(1, 250), USD(0, 125), USD(10, 0)),
    Q("gpt-5.1-codex-mini", USD(0, 250), USD(0, 25), USD(2, 0)),
    Q("gpt-5-pro", USD(15, 0), USD(15, 0), USD(120, 0)),
    Q("gpt-5", USD(1, 250), USD(0, 125), USD(10, 0)),
    Q("gpt-5-codex", USD(1, 250), USD(0, 125), USD(10, 0)),
    Q("gpt-5-mini", USD(0, 250), USD(0, 25), USD(2, 0)),
    Q("gpt-5-nano", USD(0, 50), USD(0, 5), USD(0, 400)),
    Q("gpt-4.1", USD(2, 0), USD(0, 500), USD(8, 0)),
    Q("gpt-4.1-mini", USD(0, 400), USD(0, 100), USD(1, 600)),
    Q("gpt-4.1-nano", USD(0, 100), USD(0, 25), USD(0, 400)),
    Q("gpt-4o", USD(2, 500), USD(1, 250), USD(10, 0)),
    Q("gpt-4o-2024-05-13", USD(5, 0), USD(5, 0), USD(15, 0)),
    Q("gpt-4o-mini", USD(0, 150), USD(0, 75), USD(0, 600)),
    Q("gpt-4-turbo", USD(10, 0), USD(10, 0), USD(30, 0)),
    Q("gpt-4", USD(30, 0), USD(30, 0), USD(60, 0)),
    Q("gpt-3.5-turbo", USD(0, 500), USD(0, 500), USD(1, 500)),
    Q("o4-mini", USD(1, 100), USD(0, 275), USD(4, 400)),
    Q("o3-pro", USD(20, 0), USD(20, 0), USD(80, 0)),
    Q("o3", USD(2, 0), USD(0, 500), USD(8, 0)),
    Q("o3-mini", USD(1, 100), USD(0, 550), USD(4, 400)),
    Q("o1", USD(15, 0), USD(7, 500), USD(60, 0)),
    /* developers.openai.com/api/docs/models/text-embedding-3-large, 2026-11 */
    Q("text-embedding-3-large", USD(0, 130), USD(0, 130), 0),
    Q("text-embedding-3-small", USD(0, 20), USD(0, 20), 0),

    /* platform.claude.com/docs/en/about-claude/pricing, 2026-10-24 */
    P("claude-fable-5-1", USD(10, 0), USD(0, 250), USD(12, 500), USD(50, 0)),
    P("claude-mythos-5-1", USD(10, 0), USD(0, 250), USD(12, 500), USD(50, 0)),
    P("claude-fable-5", USD(10, 0), USD(1, 0), USD(12, 500), USD(50, 0)),
    P("claude-mythos-5", USD(10, 0), USD(1, 0), USD(12, 500), USD(50, 0)),
    P("claude-opus-5-5", USD(4, 0), USD(0, 200), USD(5, 0), USD(20, 0)),
    P("claude-opus-5", USD(5, 0), USD(0, 500), USD(6, 250), USD(25, 0)),
    P("claude-opus-4-8", USD(5, 0), USD(0, 500), USD(6, 250), USD(25, 0)),
    P("claude-opus-4-7", USD(5, 0), USD(0, 500), USD(6, 250), USD(25, 0)),
    P("claude-opus-4-6", USD(5, 0), USD(0, 500), USD(6, 250), USD(25, 0)),
    P("claude-opus-4-5", USD(5, 0), USD(0, 500), USD(6, 250), USD(25, 0)),
    P("claude-opus-4-1", USD(15, 0), USD(1, 500), USD(18, 750), USD(75, 0)),
    P("claude-opus-4", USD(15, 0), USD(1, 500), USD(18, 750), USD(75, 0)),
    P("claude-sonnet-5-5", USD(2, 0), USD(0, 100), USD(2, 500), USD(10, 0)),
    P("claude-sonnet-5", USD(2, 0), USD(0, 200), USD(2, 500), USD(10, 0)),
    P("claude-sonnet-4-6", USD(3, 0), USD(0, 300), USD(3, 750), USD(15, 0)),
    P("claude-sonnet-4-5", USD(3, 0), USD(0, 300), USD(3, 750), USD(15, 0)),
    P("claude-sonnet-4", USD(3, 0), USD(0, 300), USD(3, 750), USD(15, 0)),
    P("claude-3-7-sonnet", USD(3, 0), USD(0, 300), USD(3, 750), USD(15, 0)),
    P("claude-haiku-5-5", USD(0, 100), USD(0, 10), USD(0, 125), USD(0, 500)),
    P("claude-haiku-4-5", USD(1, 0), USD(0, 100), USD(1, 250), USD(5, 0)),
    P("claude-3-5-haiku", USD(0, 800), USD(0, 80), USD(1, 0), USD(4, 0)),
    P("claude-3-opus", USD(15, 0), USD(1, 500), USD(18, 750), USD(75, 0)),
    P("claude-3-haiku", USD(0, 250), USD(0, 30), USD(0, 300), USD(1, 250)),

    /* api-docs.deepseek.com/quick_start/pricing, 2026-10-27: the peak prices; off-peak is half. The
     * names before are aliases of the flash model. */
    Q("deepseek-flash", USD(0, 300), USD(0, 6), USD(1, 200)),
    Q("deepseek-v4-pro", USD(1, 320), USD(0, 44), USD(3, 960)),
    Q("deepseek-v4-flash", USD(0, 300), USD(0, 6), USD(1, 200)),
    Q("deepseek-v4-flash-vision-exp", USD(0, 300), USD(0, 6), USD(1, 200)),
    Q("deepseek-chat", USD(0, 300), USD(0, 6), USD(1, 200)),
    Q("deepseek-reasoner", USD(0, 300), USD(0, 6), USD(1, 200)),
};
const size_t prices_default_count = sizeof prices_default / sizeof prices_default[0];
