/*
 * What the detector finds in an exchange, before anything of it is sealed: secrets are replaced by
 * placeholders, personal data stays in the sealed turn, and both are counted in rows of `findings`.
 *
 * Fails closed. What cannot be judged is an error, and then the exchange has no turn: it is stored
 * as `withheld`; so is one on which a scan spends its time. An input that kills this process, or from
 * which it does not come back (the kernel ends the process then), would come again from the ring for
 * ever; so tries are counted in the slot, which outlives the process, before anything is judged.
 *
 * Offsets and texts of findings are plaintext: the detector's work memory, `replaced` and `list`
 * are wiped or overwritten when the exchange is over.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/err.h"
#include "base/log.h"
#include "llm/json.h"
#include "proc/sealer/sealer.h"
#include "write/detect/detect.h"

#define KEPT_BYTES (1u << 20)    /* of a buffer's memory, between exchanges */
#define TRIES_MAX 2              /* of one exchange */
#define JUDGE_S 2                /* of processor time, and */
#define JUDGE_BYTES_S (4u << 20) /* a second more for each of these */
#define CLEAR_BITS 80 /* with fewer random bits a value can be guessed, and a tag tried */
#define DEPTH_MAX (LIMIT_JSON_DEPTH + 16)

_Static_assert(FINGERPRINT_TEXT == DETECT_TAG_TEXT && FINGERPRINT_KEY_BYTES == DETECT_KEY_BYTES &&
                   DETECT_ID_MAX <= LIMIT_NAME,
               "the rows hold what the detector makes");

enum place { PLACE_PROMPT, PLACE_ANSWER, PLACE_TOOL, PLACE_HEADER, PLACE_OTHER };
static const char *const place_words[] = {"prompt", "answer", "tool", "header", "other"};

struct entry {
    uint16_t rule;
    enum place place;
    char tag[FINGERPRINT_TEXT + 1]; /* "": not to be in the clear */
    uint32_t count;
};

struct findings {
    struct detect *detect; /* NULL: nothing is looked for */
    struct detect_work *work;
    struct detect_findings list;
    struct buf replaced;
    uint8_t *key; /* guarded */
    uint32_t key_number;
    struct policy *policy;
    const char *project; /* whose exchange it is; borrowed */
    bool judge;          /* false: this exchange was tried too often */
    struct entry entries[LIMIT_FINDING_ROWS];
    size_t entry_count;
    uint32_t total;
};

int findings_new(struct findings **ret, int policy_fd) {
    struct detect_options options = {0};
    char why[256];
    struct findings *f = calloc(1, sizeof *f);
    if (!f)
        return ERR_NOMEM;
    buf_init(&f->replaced, LIMIT_TURN_PLAIN);
    f->key = sodium_malloc(FINGERPRINT_KEY_BYTES);
    int rc = f->key ? 0 : ERR_NOMEM;
    if (!rc)
        rc = policy_new(&f->policy, policy_fd, &options.mute, &options.rules, &options.rules_len);
    if (!rc && policy_on(f->policy)) {
        rc = detect_new(&f->detect, &options, why, sizeof why);
        if (!rc)
            rc = detect_work_new(&f->work, f->detect);
    }
    *ret = f; /* a start that fails ends the process */
    return rc;
}

void findings_key(struct findings *f, uint32_t number, const uint8_t key[FINGERPRINT_KEY_BYTES]) {
    f->key_number = number;
    memcpy(f->key, key, FINGERPRINT_KEY_BYTES);
}

void findings_begin(struct findings *f, const struct ring_slot *slot, const char *project) {
    f->project = project;
    f->judge = ring_tries(slot) < TRIES_MAX;
    findings_withheld(f);
}

void findings_withheld(struct findings *f) {
    f->entry_count = 0;
    f->total = 0;
}

void findings_end(struct findings *f) {
    if (f->replaced.cap > KEPT_BYTES)
        buf_wipe(&f->replaced);
    else
        buf_clear(&f->replaced);
    explicit_bzero(f->entries, f->entry_count * sizeof *f->entries);
    f->entry_count = 0;
    detect_findings_done(&f->list);
}

/* ---- the guard around the detector ---- */

/* SIGVTALRM ends the process. Its own processor time counts: a busy machine makes nothing guilty.
 */
static void set_timer(time_t seconds) {
    const struct itimerval t = {.it_value.tv_sec = seconds};
    setitimer(ITIMER_VIRTUAL, &t, NULL);
}

/* In half of the time a scan gives up by itself; the end of the process is for what never asks for the time. */
static void guard(struct findings *f, struct ring_slot *slot, size_t len) {
    const time_t seconds = JUDGE_S + (time_t)(len / JUDGE_BYTES_S);
    detect_work_time(f->work, (uint64_t)seconds * 1000000000u / 2);
    ring_try(slot);
    set_timer(seconds);
}

static void unguard(struct ring_slot *slot) {
    set_timer(0);
    ring_tried(slot);
}

/* ---- counting ---- */

static enum action action_of(const struct findings *f, struct detect_rule_info rule) {
    enum action a = policy_action(f->policy, f->project, rule.class, rule.family);
    return a == ACTION_FINGERPRINT || a == ACTION_SEAL || a == ACTION_ALLOW ? a
           : rule.personal                                                  ? ACTION_SEAL
                                                                            : ACTION_FINGERPRINT;
}

static bool is_replaced(struct detect_rule_info rule, void *arg) {
    return action_of(arg, rule) == ACTION_FINGERPRINT;
}

/* A clear column is no place that is sealed: a secret goes, whatever a sealed turn may hold. */
static bool is_replaced_in_clear(struct detect_rule_info rule, void *arg) {
    enum action a = action_of(arg, rule);
    return a == ACTION_FINGERPRINT || (a == ACTION_SEAL && !rule.personal);
}

static bool is_clear(struct detect_rule_info rule, const struct detect_finding *found) {
    return !rule.personal && rule.bits >= CLEAR_BITS && found->check != DETECT_CHECK_FAILED;
}

/* The tag that the placeholder of a finding has: what stands in it before its last two brackets. */
static int tag_of(struct findings *f, const uint8_t *text, const struct detect_finding *found,
                  char ret[FINGERPRINT_TEXT + 1]) {
    struct detect_finding one = {0, found->end - found->start, found->rule, found->check};
    const struct detect_findings list = {&one, 1, 1};
    const struct detect_key key = {f->key, f->key_number};
    struct buf out;
    buf_init(&out, 4096);
    int rc = detect_replace(&out, f->detect, f->work, text + found->start, one.end, DETECT_TEXT,
                            &list, &key, NULL, NULL);
    if (!rc && out.len < FINGERPRINT_TEXT + 2)
        rc = ERR_INTERNAL;
    if (!rc) {
        memcpy(ret, out.p + out.len - 2 - FINGERPRINT_TEXT, FINGERPRINT_TEXT);
        ret[FINGERPRINT_TEXT] = 0;
    }
    buf_wipe(&out);
    return rc;
}

static int count(struct findings *f, const uint8_t *text, const struct detect_finding *found,
                 enum place place) {
    const struct detect_rule_info rule = detect_rule(f->detect, found->rule);
    struct entry e = {.rule = found->rule, .place = place, .count = 1};
    if (action_of(f, rule) == ACTION_ALLOW)
        return 0;
    int rc = is_clear(rule, found) ? tag_of(f, text, found, e.tag) : 0;
    if (rc)
        return rc;
    f->total++;
    for (size_t i = 0; i < f->entry_count; i++) {
        struct entry *old = &f->entries[i];
        if (old->rule == e.rule && old->place == place && !strcmp(old->tag, e.tag)) {
            old->count++;
            return 0;
        }
    }
    if (f->entry_count < LIMIT_FINDING_ROWS) /* beyond it the interaction's number counts them */
        f->entries[f->entry_count++] = e;
    return 0;
}

/* ---- where findings lie in the turn ---- */

struct walk {
    struct findings *findings;
    const uint8_t *text;
    size_t next; /* of the list, which is sorted */
    int rc;
};

static enum place place_of_member(struct jv key) {
    static const struct {
        const char *name;
        enum place place;
    } members[] = {
        {"messages", PLACE_PROMPT},       {"replayed", PLACE_PROMPT},
        {"params", PLACE_PROMPT},         {"request_text", PLACE_PROMPT},
        {"request_base64", PLACE_PROMPT}, {"tools", PLACE_TOOL},
        {"answer", PLACE_ANSWER},         {"answer_text", PLACE_ANSWER},
        {"answer_base64", PLACE_ANSWER},  {"tail", PLACE_ANSWER},
        {"tail_base64", PLACE_ANSWER},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (jv_equals(key, members[i].name))
            return members[i].place;
    return PLACE_OTHER;
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

/* A message or a part of one that is a call of a tool or what it gave back, in any dialect. */
static bool is_tool(struct jv v) {
    char word[48];
    struct jv role = jv_get(v, "role"), type = jv_get(v, "type");
    if (jv_is_string(role) && (jv_equals(role, "tool") || jv_equals(role, "function")))
        return true;
    return jv_is_string(type) && jv_text_fits(type, word, sizeof word) &&
           (ends_with(word, "tool_use") || ends_with(word, "tool_result") ||
            ends_with(word, "_call") || ends_with(word, "_call_output"));
}

static enum place place_within(struct jv key, struct jv value, enum place place, unsigned depth) {
    if (depth == 0)
        return place_of_member(key);
    if (place == PLACE_TOOL || jv_equals(key, "tool_calls") || jv_equals(key, "function_call") ||
        jv_equals(key, "tools") || jv_equals(key, "functions") ||
        (jv_is_object(value) && is_tool(value)))
        return PLACE_TOOL;
    return place;
}

static bool before(const struct walk *w, const uint8_t *end) {
    const struct detect_findings *list = &w->findings->list;
    return !w->rc && w->next < list->count && w->text + list->items[w->next].start < end;
}

/* The findings that begin before `end` lie there. */
static void take(struct walk *w, const uint8_t *end, enum place place) {
    while (before(w, end))
        w->rc = count(w->findings, w->text, &w->findings->list.items[w->next++], place);
}

/* Only what has findings in it is entered. */
static void walk(struct walk *w, struct jv v, enum place place, unsigned depth) {
    struct jv key, value;
    for (size_t pos = 0;
         depth < DEPTH_MAX && before(w, v.p + v.len) && jv_each(v, &pos, &key, &value);) {
        const enum place inner =
            before(w, value.p + value.len) ? place_within(key, value, place, depth) : place;
        take(w, value.p, inner); /* in a member's name */
        if (before(w, value.p + value.len))
            walk(w, value, inner, depth + 1);
    }
    take(w, v.p + v.len, place);
}

/* ---- the turn ---- */

/* Of what the gateway masked, only what is replaced here matters: the rest may stand in the turn. */
static bool is_masked(struct detect_rule_info rule, void *arg) {
    const struct findings *f = arg;
    return policy_action(f->policy, f->project, rule.class, rule.family) == ACTION_MASK && is_replaced(rule, arg);
}

static int judge_turn(struct findings *f, const struct buf *request, const struct buf *turn) {
    const struct detect_key key = {f->key, f->key_number};
    const struct known_wish wish = {f->detect, f->work, is_masked, f};
    int rc = detect_scan(f->detect, f->work, turn->p, turn->len, DETECT_JSON, &f->list);
    if (!rc && policy_has(f->policy, f->project, ACTION_MASK))
        rc = known_add(&wish, request, turn, &f->list);
    if (rc || !f->list.count)
        return rc;
    struct walk w = {.findings = f, .text = turn->p};
    walk(&w, (struct jv){turn->p, turn->len}, PLACE_OTHER, 0);
    buf_clear(&f->replaced);
    return w.rc ? w.rc
                : detect_replace(&f->replaced, f->detect, f->work, turn->p, turn->len, DETECT_JSON,
                                 &f->list, &key, is_replaced, f);
}

int findings_turn(struct findings *f, struct ring_slot *slot, const struct buf *request,
                  struct buf *turn) {
    if (!f->detect)
        return 0;
    if (!f->judge)
        return ERR_DENIED;
    guard(f, slot, turn->len + request->len);
    int rc = judge_turn(f, request, turn);
    unguard(slot);
    if (rc || !f->list.count)
        return rc;
    buf_clear(turn);
    return buf_append(turn, f->replaced.p, f->replaced.len);
}

/* ---- labels ---- */

/* A label goes into a clear column: of a secret in it nothing may stay but a tag that tells
 * nothing. */
static int judge_label(struct findings *f, char *text, size_t size) {
    const struct detect_key key = {f->key, f->key_number};
    const size_t len = strlen(text);
    bool clear = true;
    int rc = detect_scan(f->detect, f->work, text, len, DETECT_TEXT, &f->list);
    for (size_t i = 0; !rc && i < f->list.count; i++) {
        const struct detect_finding *found = &f->list.items[i];
        struct detect_rule_info rule = detect_rule(f->detect, found->rule);
        clear = clear && (!is_replaced_in_clear(rule, f) || is_clear(rule, found));
        rc = count(f, (const uint8_t *)text, found, PLACE_HEADER);
    }
    if (rc || !f->list.count)
        return rc;
    buf_clear(&f->replaced);
    rc = detect_replace(&f->replaced, f->detect, f->work, text, len, DETECT_TEXT, &f->list, &key,
                        is_replaced_in_clear, f);
    if (rc || !clear || f->replaced.len >= size)
        return rc ? rc : ERR_LIMIT;
    memcpy(text, f->replaced.p, f->replaced.len);
    text[f->replaced.len] = 0;
    return 0;
}

bool findings_label(struct findings *f, struct ring_slot *slot, char *text, size_t size) {
    int rc = ERR_DENIED;
    if (!f->detect)
        return true;
    if (f->judge) {
        guard(f, slot, size);
        rc = judge_label(f, text, size);
        unguard(slot);
    }
    if (rc)
        explicit_bzero(text, size);
    return rc == 0;
}

/* ---- rows ---- */

uint16_t findings_total(const struct findings *f) {
    return f->total > UINT16_MAX ? UINT16_MAX : (uint16_t)f->total;
}

bool findings_row(const struct findings *f, size_t i, struct finding_row *ret) {
    if (i >= f->entry_count)
        return false;
    const struct entry *e = &f->entries[i];
    const struct detect_rule_info rule = detect_rule(f->detect, e->rule);
    memcpy(ret->class, rule.class, strlen(rule.class) + 1);
    memcpy(ret->rule, rule.id, strlen(rule.id) + 1);
    memcpy(ret->place, place_words[e->place], strlen(place_words[e->place]) + 1);
    memcpy(ret->fingerprint, e->tag, sizeof e->tag);
    ret->fingerprint_key = *e->tag ? f->key_number : 0;
    ret->count = e->count;
    return true;
}
