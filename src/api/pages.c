/* SPDX-License-Identifier: MIT */
#include "api/pages.h"

#include "api/negotiate.h"
#include "base/err.h"
#include "base/template.h"
#include "base/text.h"
#include "http/exchange.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define HTML_TYPE     "text/html; charset=utf-8"
#define SCRIPT_TYPE   "text/javascript; charset=utf-8"
#define STYLE_TYPE    "text/css; charset=utf-8"
#define DEFAULT_PORTS "7466, 50800-50900"
#define TAG_SIZE      32
#define PAGE_MAX      (8 * 1024 * 1024) /* the answer to a check of 65,535 ports included */
#define GZIP_WINDOW   (15 + 16) /* zlib's code for the largest window and a gzip header */

struct embedded {
    const char *name;
    const unsigned char *bytes;
    size_t len;
};

#include "api/web_files.def"

static const struct {
    const char *path, *file, *type;
} pages_table[] = {
    {"/", "index.html", HTML_TYPE},
    {"/docs", "docs.html", HTML_TYPE},
    {"/openapi.json", "openapi.json", "application/json"},
    {"/style.css", "style.css", STYLE_TYPE},
    {"/docs.css", "docs.css", STYLE_TYPE},
    {"/icon.svg", "icon.svg", "image/svg+xml"},
    {"/favicon.ico", "icon.svg", "image/svg+xml"}, /* browsers request it by default */
    {"/app.js", "app.js", SCRIPT_TYPE},
    {"/grid.js", "grid.js", SCRIPT_TYPE},
    {"/ports.js", "ports.js", SCRIPT_TYPE},
    {"/report.js", "report.js", SCRIPT_TYPE},
    {"/stream.js", "stream.js", SCRIPT_TYPE},
    {"/words.js", "words.js", SCRIPT_TYPE},
};

#define PAGE_COUNT (sizeof pages_table / sizeof pages_table[0])

/* One form in which a page can be sent. */
struct variant {
    char *bytes; /* owned */
    size_t len;
    char tag[TAG_SIZE];
};

struct pages {
    struct variant plain[PAGE_COUNT];
    struct variant gzip[PAGE_COUNT];
};

/* ---- making them ------------------------------------------------------------------ */

static const struct embedded *embedded_find(const char *name)
{
    size_t i = 0;
    while (i < sizeof embedded_files / sizeof embedded_files[0] &&
           strcmp(embedded_files[i].name, name) != 0)
        i++;
    assert(i < sizeof embedded_files / sizeof embedded_files[0]);
    return &embedded_files[i];
}

void html_append(struct text *html, const char *plain)
{
    while (*plain) {
        size_t len = strcspn(plain, "&<>\"'");
        text_append(html, plain, len);
        plain += len;
        if (*plain)
            text_printf(html, "&#%d;", *plain++);
    }
}

/* The values for a template. */
struct page_words {
    const char *address, *ports; /* plain */
    const char *answer;          /* HTML */
    size_t depth;                /* how many folders the page lies below the root */
    bool has_form;               /* and the script that runs it */
};

static void put_address(const void *ctx, struct text *text)
{
    html_append(text, ((const struct page_words *)ctx)->address);
}

static void put_ports(const void *ctx, struct text *text)
{
    html_append(text, ((const struct page_words *)ctx)->ports);
}

static void put_answer(const void *ctx, struct text *text)
{
    text_append_str(text, ((const struct page_words *)ctx)->answer);
}

/* Expands a template of its own, with the same values. */
static void put_form(const void *ctx, struct text *text);

static void put_script(const void *ctx, struct text *text)
{
    if (((const struct page_words *)ctx)->has_form)
        text_append_str(text, "<script type=\"module\" src=\"./app.js\"></script>\n");
}

/* A proxy may serve the checker below a path prefix, so all URLs are relative. */
static void put_root(const void *ctx, struct text *text)
{
    text_append_str(text, "./");
    for (size_t i = 0; i < ((const struct page_words *)ctx)->depth; i++)
        text_append_str(text, "../");
}

static void put_version(const void *ctx, struct text *text)
{
    (void)ctx;
    text_append_str(text, PORT_CHECKER_VERSION);
}

static void put_source(const void *ctx, struct text *text)
{
    static const char *const url = PORT_CHECKER_SOURCE;
    (void)ctx;
    if (!*url)
        return;

    text_append_str(text, "\n    <li><a href=\"");
    html_append(text, url);
    text_append_str(text, "\">Source</a></li>");
}

/* clang-format off */
static const struct template_word words[] = {
    {"address", put_address}, {"ports", put_ports},
    {"answer", put_answer},   {"root", put_root},
    {"version", put_version}, {"source", put_source},
    {"form", put_form},       {"script", put_script},
    {NULL, NULL},
};
/* clang-format on */

static void expand(const char *name, const struct page_words *values, struct text *page)
{
    bool is_known =
        template_expand((const char *)embedded_find(name)->bytes, words, values, page);
    assert(is_known);
    (void)is_known;
}

static void put_form(const void *ctx, struct text *text)
{
    if (((const struct page_words *)ctx)->has_form)
        expand("form.html", ctx, text);
}

static char *fill_in(const char *name, const struct page_words *values, size_t *ret_len)
{
    struct text page;
    text_init(&page, PAGE_MAX);
    expand(name, values, &page);
    return text_take(&page, ret_len);
}

char *pages_answer(const struct pages *pages, const char *address, const char *ports,
                   const char *answer, size_t *ret_len)
{
    (void)pages; /* proves that the template exists */
    const struct page_words values = {address, ports, answer, 0, true};
    return fill_in("index.html", &values, ret_len);
}

char *pages_message(const struct pages *pages, const char *message, size_t *ret_len)
{
    (void)pages;
    const struct page_words values = {.answer = message};
    return fill_in("index.html", &values, ret_len);
}

static void tag(struct variant *variant, const char *suffix)
{
    snprintf(variant->tag, sizeof variant->tag, "\"%016" PRIx64 "%s\"",
             text_hash(variant->bytes, variant->len), suffix);
}

static bool compress_page(const struct variant *plain, struct variant *ret)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 9,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;

    uLong room = deflateBound(&stream, plain->len);
    ret->bytes = malloc(room);
    stream.next_in = (Bytef *)plain->bytes;
    stream.avail_in = (uInt)plain->len;
    stream.next_out = (Bytef *)ret->bytes;
    stream.avail_out = (uInt)room;
    bool ok = ret->bytes && deflate(&stream, Z_FINISH) == Z_STREAM_END;
    ret->len = stream.total_out;
    deflateEnd(&stream);
    return ok;
}

static bool page_make(struct pages *pages, size_t i)
{
    struct variant *plain = &pages->plain[i];
    const struct embedded *file = embedded_find(pages_table[i].file);
    if (strcmp(file->name, "index.html") == 0) {
        const struct page_words values = {"", DEFAULT_PORTS, "", 0, true};
        plain->bytes = fill_in(file->name, &values, &plain->len);
    } else {
        plain->bytes = malloc(file->len);
        plain->len = file->len;
        if (plain->bytes)
            memcpy(plain->bytes, file->bytes, file->len);
    }
    if (!plain->bytes || !compress_page(plain, &pages->gzip[i]))
        return false;

    tag(plain, "");
    tag(&pages->gzip[i], "-gzip");
    return true;
}

bool pages_new(struct pages **ret, struct err *err)
{
    struct pages *pages = calloc(1, sizeof *pages);
    bool ok = pages != NULL;
    for (size_t i = 0; ok && i < PAGE_COUNT; i++)
        ok = page_make(pages, i);
    if (!ok) {
        pages_free(pages);
        return err_sys(err, ENOMEM, "the page");
    }
    *ret = pages;
    return true;
}

struct pages *pages_free(struct pages *pages)
{
    if (!pages)
        return NULL;

    for (size_t i = 0; i < PAGE_COUNT; i++) {
        free(pages->plain[i].bytes);
        free(pages->gzip[i].bytes);
    }
    free(pages);
    return NULL;
}

/* ---- serving them ----------------------------------------------------------------- */

/* Referrer-Policy: with no-referrer, a browser would hide the form's origin even from this
 * service, which would then take it for another site. */
void pages_set_headers(struct exchange *exchange)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; "
                                    "base-uri 'none'; form-action 'self'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "same-origin"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        exchange_set_header(exchange, headers[i][0], headers[i][1]);
    /* Over plain HTTP browsers ignore it, and report an error in their console. */
    if (exchange_is_tls(exchange))
        exchange_set_header(exchange, "Cross-Origin-Opener-Policy", "same-origin");
}

static size_t page_find(const char *path)
{
    size_t i = 0;
    while (i < PAGE_COUNT && strcmp(pages_table[i].path, path) != 0)
        i++;
    assert(i < PAGE_COUNT); /* the routes name no other */
    return i;
}

/* "/docs/" serves the same page as "/docs", but relative URLs would resolve below it. */
static bool has_wrong_base(const struct exchange *exchange)
{
    return strcmp(exchange_path(exchange), "/docs/") == 0;
}

void pages_handle(const struct pages *pages, struct exchange *exchange, const char *vary)
{
    size_t i = page_find(exchange_route(exchange)->path);
    const char *encodings = exchange_header(exchange, "Accept-Encoding");
    const char *known = exchange_header(exchange, "If-None-Match");
    bool is_gzip = negotiate_quality(encodings, "gzip") > 0;
    const struct variant *variant = is_gzip ? &pages->gzip[i] : &pages->plain[i];

    pages_set_headers(exchange);
    if (has_wrong_base(exchange)) {
        exchange_set_header(exchange, "Location", "../docs");
        exchange_reply_const(exchange, 308, HTML_TYPE, "", 0);
        return;
    }
    exchange_set_header(exchange, "Cache-Control",
                        "no-cache"); /* revalidate each time, by ETag */
    exchange_set_header(exchange, "Vary", vary);
    exchange_set_header(exchange, "ETag", variant->tag);
    if (known && strstr(known, variant->tag)) {
        /* Content-Length is that of the document; the body of a 304 is not sent. */
        exchange_reply_const(exchange, 304, pages_table[i].type, variant->bytes,
                             variant->len);
        return;
    }
    if (is_gzip)
        exchange_set_header(exchange, "Content-Encoding", "gzip");
    exchange_reply_const(exchange, 200, pages_table[i].type, variant->bytes, variant->len);
}

void pages_not_found(struct exchange *exchange)
{
    struct page_words values = {.depth = 0};
    size_t len = 0;

    for (const char *c = exchange_path(exchange); *c; c++)
        values.depth += *c == '/';
    if (values.depth > 0)
        values.depth--; /* relative to the root itself */
    char *page = fill_in("not_found.html", &values, &len);
    pages_set_headers(exchange);
    exchange_reply(exchange, 404, HTML_TYPE, page, len);
}
