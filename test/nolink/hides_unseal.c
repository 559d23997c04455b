/* The write path with an opening function under its own roof: a symbol by its prefix. */
int unseal_something(void);

__attribute__((noinline)) int unseal_something(void) {
    return 0;
}

int main(void) {
    return unseal_something();
}
