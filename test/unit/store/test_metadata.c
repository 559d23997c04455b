/* Every column of the tables is named in doc/metadata.md, which says what it reveals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "store/store.h"

static char page[65536];

static bool named(const char *column) {
    char word[80];
    snprintf(word, sizeof word, "`%s`", column);
    if (strstr(page, word))
        return true;
    const char *end = strrchr(column, '_'); /* `tokens_*` */
    snprintf(word, sizeof word, "`%.*s_*`", end ? (int)(end - column) : 0, column);
    return end && strstr(page, word);
}

static void every_column(void **state) {
    unsigned missing = 0, seen = 0;
    (void)state;
    FILE *f = fopen("doc/metadata.md", "r");
    assert_non_null(f);
    page[fread(page, 1, sizeof page - 1, f)] = 0;
    fclose(f);
    for (int t = ROWS_DATA_KEYS; t <= (int)STORE_LEAVES; t++) {
        char list[1024], *save = NULL;
        snprintf(list, sizeof list, "%s", schema_insert_columns((enum rows_table)t));
        for (char *c = strtok_r(list, "(), ", &save); c; c = strtok_r(NULL, "(), ", &save), seen++)
            if (!named(c)) {
                print_error("doc/metadata.md does not name %s of %s\n", c,
                            store_table_name((enum rows_table)t));
                missing++;
            }
    }
    assert_true(seen > 60);
    assert_int_equal(missing, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_column)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
