#ifndef BASE_VERSION_H
#define BASE_VERSION_H
/* Of all programs together. */
#define SAFEHOUSE_VERSION "0.1"
#endif
