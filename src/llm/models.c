/*
 * Model names that may stand in clear columns. What a client asks for is outside text: only names
 * of public models pass, exact or as a dated or sized variant; everything else is "other" (the
 * original is in the sealed turn).
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "llm/words.h"

/* Sorted by strcmp. */
static const char *const names[] = {
    "chatgpt-4o-latest",
    "claude-2.1",
    "claude-3-5-haiku",
    "claude-3-5-sonnet",
    "claude-3-7-sonnet",
    "claude-3-haiku",
    "claude-3-opus",
    "claude-3-sonnet",
    "claude-haiku-4-5",
    "claude-opus-4",
    "claude-opus-4-1",
    "claude-opus-4-5",
    "claude-sonnet-4",
    "claude-sonnet-4-5",
    "codestral",
    "deepseek-chat",
    "deepseek-coder",
    "deepseek-r1",
    "deepseek-reasoner",
    "deepseek-v2.5",
    "deepseek-v3",
    "deepseek-v3.1",
    "deepseek-v3.2",
    "demo",
    "devstral",
    "glm-4",
    "glm-4-air",
    "glm-4-flash",
    "glm-4-long",
    "glm-4-plus",
    "glm-4.5",
    "glm-4.5-air",
    "glm-4.5-flash",
    "glm-4.6",
    "glm-4v",
    "glm-z1-air",
    "gpt-3.5-turbo",
    "gpt-3.5-turbo-16k",
    "gpt-4",
    "gpt-4-32k",
    "gpt-4-turbo",
    "gpt-4-turbo-preview",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4.5-preview",
    "gpt-4o",
    "gpt-4o-audio-preview",
    "gpt-4o-mini",
    "gpt-4o-search-preview",
    "gpt-5",
    "gpt-5-chat-latest",
    "gpt-5-codex",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5-pro",
    "gpt-5.1",
    "gpt-oss-120b",
    "gpt-oss-20b",
    "gpt-oss:120b",
    "gpt-oss:20b",
    "kimi-k2",
    "kimi-k2-instruct",
    "kimi-k2-thinking",
    "kimi-k2-turbo-preview",
    "kimi-latest",
    "llama-3.1-405b-instruct",
    "llama-3.1-70b-instruct",
    "llama-3.1-8b-instant",
    "llama-3.1-8b-instruct",
    "llama-3.2-1b-instruct",
    "llama-3.2-3b-instruct",
    "llama-3.3-70b-instruct",
    "llama-3.3-70b-versatile",
    "llama-4-maverick",
    "llama-4-scout",
    "llama3",
    "llama3.1",
    "llama3.2",
    "llama3.3",
    "magistral-medium",
    "magistral-small",
    "meta-llama/Llama-3.1-70B-Instruct",
    "meta-llama/Llama-3.1-8B-Instruct",
    "meta-llama/Llama-3.2-1B-Instruct",
    "meta-llama/Llama-3.2-3B-Instruct",
    "meta-llama/Llama-3.3-70B-Instruct",
    "ministral-3b",
    "ministral-8b",
    "mistral",
    "mistral-large",
    "mistral-medium",
    "mistral-nemo",
    "mistral-small",
    "mixtral-8x22b",
    "mixtral-8x7b",
    "moonshot-v1-128k",
    "moonshot-v1-32k",
    "moonshot-v1-8k",
    "moonshot-v1-auto",
    "o1",
    "o1-mini",
    "o1-preview",
    "o1-pro",
    "o3",
    "o3-mini",
    "o3-pro",
    "o4-mini",
    "open-mistral-nemo",
    "pixtral-12b",
    "pixtral-large",
    "qwen-coder-plus",
    "qwen-long",
    "qwen-max",
    "qwen-plus",
    "qwen-turbo",
    "qwen-vl-max",
    "qwen-vl-plus",
    "qwen2",
    "qwen2.5",
    "qwen2.5-14b-instruct",
    "qwen2.5-32b-instruct",
    "qwen2.5-72b-instruct",
    "qwen2.5-7b-instruct",
    "qwen2.5-coder",
    "qwen3",
    "qwen3-235b-a22b",
    "qwen3-30b-a3b",
    "qwen3-32b",
    "qwen3-8b",
    "qwen3-coder",
    "qwen3-coder-plus",
    "qwen3-max",
    "qwq",
    "qwq-32b",
    "qwq-plus",
};

static int compare(const void *a, const void *b) {
    return strcmp(a, *(const char *const *)b);
}

static bool all_digits(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return n > 0;
}

/* "latest", or a date as vendors write it: 0613, 2411, 20241022, 2024-08-06 */
static bool is_version(const char *p) {
    size_t n = strlen(p);
    if (!strcmp(p, "latest") || !strcmp(p, "preview"))
        return true;
    if (n == 10)
        return all_digits(p, 4) && p[4] == '-' && all_digits(p + 5, 2) && p[7] == '-' &&
               all_digits(p + 8, 2);
    return (n == 4 || n == 8) && all_digits(p, n);
}

/* As Ollama writes sizes: "latest", 7b, 0.5b, 70b */
static bool is_size(const char *p) {
    size_t n = strlen(p);
    if (!strcmp(p, "latest"))
        return true;
    if (n < 2 || n > 5 || p[n - 1] != 'b')
        return false;
    const char *dot = memchr(p, '.', n - 1);
    if (!dot)
        return all_digits(p, n - 1);
    return all_digits(p, (size_t)(dot - p)) && all_digits(dot + 1, (size_t)(p + n - 2 - dot));
}

static bool is_listed(const char *name) {
    return bsearch(name, names, sizeof names / sizeof *names, sizeof *names, compare) != NULL;
}

const char *models_known(const char *name) {
    char stem[LIMIT_MODEL];
    size_t n = strlen(name);
    if (!n || is_listed(name))
        return name;
    if (n >= sizeof stem)
        return "other";
    for (size_t i = n; i-- > 1;) {
        bool variant = (name[i] == '-' && is_version(name + i + 1)) ||
                       (name[i] == ':' && is_size(name + i + 1));
        if (!variant)
            continue;
        memcpy(stem, name, i);
        stem[i] = 0;
        if (is_listed(stem))
            return name;
    }
    return "other";
}
