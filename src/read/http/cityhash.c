/* cityhash.h. Everything is arithmetic modulo 2^64 over little-endian words; pure. */
#include "read/http/cityhash.h"

#include "base/bytes.h"

static const uint64_t k0 = 0xc3a5c85c97cb3127ull, k1 = 0xb492b66fbe98f273ull, k2 = 0x9ae16a3b2f90404full,
                      k3 = 0xc949d7c7509e6557ull;

struct pair {
    uint64_t a, b;
};

static uint64_t rotate(uint64_t v, unsigned by) {
    return (v >> by) | (v << (64 - by)); /* by: 1..63 */
}

static uint64_t mix(uint64_t v) {
    return v ^ (v >> 47);
}

/* 128 bits to 64. */
static uint64_t fold(uint64_t u, uint64_t v) {
    const uint64_t mul = 0x9ddfea08eb382d69ull, a = mix((u ^ v) * mul);
    return mix((v ^ a) * mul) * mul;
}

static uint64_t hash_to_16(const uint8_t *p, size_t len) {
    if (len > 8) {
        const uint64_t a = get_u64(p), b = get_u64(p + len - 8);
        return fold(a, rotate(b + len, (unsigned)len)) ^ b;
    }
    if (len >= 4)
        return fold(len + ((uint64_t)get_u32(p) << 3), get_u32(p + len - 4));
    if (!len)
        return k2;
    const uint64_t y = p[0] + ((uint64_t)p[len >> 1] << 8), z = len + ((uint64_t)p[len - 1] << 2);
    return mix((y * k2) ^ (z * k3)) * k2;
}

/* 32 bytes and two seeds to two words. */
static struct pair weak(const uint8_t *p, uint64_t a, uint64_t b) {
    const uint64_t w = get_u64(p), x = get_u64(p + 8), y = get_u64(p + 16), z = get_u64(p + 24);
    a += w;
    b = rotate(b + a + z, 21);
    const uint64_t c = a;
    a += x + y;
    b += rotate(a, 44);
    return (struct pair){a + z, b + c};
}

/* Less than 128 bytes. */
static struct pair shorter(const uint8_t *p, size_t len, struct pair seed) {
    uint64_t a = seed.a, b = seed.b, c, d;
    if (len <= 16) {
        a = mix(a * k1) * k1;
        c = b * k1 + hash_to_16(p, len);
        d = mix(a + (len >= 8 ? get_u64(p) : c));
    } else {
        c = fold(get_u64(p + len - 8) + k1, a);
        d = fold(b + len, c + get_u64(p + len - 16));
        a += d;
        for (long left = (long)len - 16; left > 0; left -= 16, p += 16) {
            a = (a ^ (mix(get_u64(p) * k1) * k1)) * k1;
            b ^= a;
            c = (c ^ (mix(get_u64(p + 8) * k1) * k1)) * k1;
            d ^= c;
        }
    }
    a = fold(a, c);
    b = fold(d, b);
    return (struct pair){a ^ b, fold(b, a)};
}

struct state {
    uint64_t x, y, z;
    struct pair v, w;
};

static void half_round(struct state *s, const uint8_t *p) {
    s->x = rotate(s->x + s->y + s->v.a + get_u64(p + 16), 37) * k1;
    s->y = rotate(s->y + s->v.b + get_u64(p + 48), 42) * k1;
    s->x ^= s->w.b;
    s->y ^= s->v.a;
    s->z = rotate(s->z ^ s->w.a, 33);
    s->v = weak(p, s->v.b * k1, s->x + s->w.a);
    s->w = weak(p + 32, s->z + s->w.b, s->y);
    const uint64_t x = s->x;
    s->x = s->z;
    s->z = x;
}

static struct pair seeded(const uint8_t *p, size_t len, struct pair seed) {
    if (len < 128)
        return shorter(p, len, seed);
    struct state s = {.x = seed.a, .y = seed.b, .z = len * k1};
    s.v.a = rotate(s.y ^ k1, 49) * k1 + get_u64(p);
    s.v.b = rotate(s.v.a, 42) * k1 + get_u64(p + 8);
    s.w.a = rotate(s.y + s.z, 35) * k1 + s.x;
    s.w.b = rotate(s.x + get_u64(p + 88), 53) * k1;
    for (; len >= 128; len -= 128, p += 128) {
        half_round(&s, p);
        half_round(&s, p + 64);
    }
    s.y += rotate(s.w.a, 37) * k0 + s.z;
    s.x += rotate(s.v.a + s.z, 49) * k0;
    /* The rest from its end, 32 bytes a step: the last step may reach back into what was hashed. */
    for (size_t done = 32; done < len + 32; done += 32) {
        s.y = rotate(s.y - s.x, 42) * k0 + s.v.b;
        s.w.a += get_u64(p + len - done + 16);
        s.x = rotate(s.x, 49) * k0 + s.w.a;
        s.w.a += s.v.a;
        s.v = weak(p + len - done, s.v.a, s.v.b);
    }
    s.x = fold(s.x, s.v.a);
    s.y = fold(s.y, s.w.a);
    return (struct pair){fold(s.x + s.v.b, s.w.b) + s.y, fold(s.x + s.w.b, s.y + s.v.b)};
}

void cityhash_128(const uint8_t *p, size_t len, uint8_t out[CITYHASH_BYTES]) {
    const struct pair r =
        len >= 16  ? seeded(p + 16, len - 16, (struct pair){get_u64(p) ^ k3, get_u64(p + 8)})
        : len >= 8 ? seeded(p, 0, (struct pair){get_u64(p) ^ (len * k0), get_u64(p + len - 8) ^ k1})
                   : seeded(p, len, (struct pair){k0, k1});
    put_u64(out, r.a);
    put_u64(out + 8, r.b);
}
