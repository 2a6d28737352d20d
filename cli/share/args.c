// SPDX-License-Identifier: LGPL-2.1-or-later
// The argument vector that libvirt starts virtiofsd with: exactly what our domain XML leads to, in
// the style of libvirt 9 (-o source=DIR,...) and in that of libvirt 10.5 and later (--shared-dir).
#include "share.h"

#include <string.h>

/* Standard input, output and error are below; a socket that libvirt opened is not far above. */
#define FD_FIRST 3
#define FD_LAST  65535

bool
share_path_is_clean (const char *path, size_t length)
{
  size_t begin = 1;

  if (length < 2 || length > SHARE_PATH_MAX || path[0] != '/')
    return false;
  for (size_t i = 1; i <= length; i++)
    {
      size_t part = i - begin;

      if (i < length && ((unsigned char)path[i] < ' ' || path[i] == 0x7f))
        return false;
      if (i < length && path[i] != '/')
        continue;
      if (part == 0 || (part == 1 && path[begin] == '.')
          || (part == 2 && path[begin] == '.' && path[begin + 1] == '.'))
        return false;
      begin = i + 1;
    }
  return true;
}

static bool
take_path (const char *path, size_t length, ShareArgs *args)
{
  if (args->door[0] != '\0' || !share_path_is_clean (path, length) || memchr (path, ',', length))
    return false;
  memcpy (args->door, path, length);
  args->door[length] = '\0';
  return true;
}

static bool
take_fd (const char *text, ShareArgs *args)
{
  int fd = 0;
  size_t length = strlen (text);

  if (args->socket_fd >= 0 || length < 1 || length > 5 || strspn (text, "0123456789") != length)
    return false;
  for (const char *digit = text; *digit != '\0'; digit++)
    fd = fd * 10 + (*digit - '0');
  args->socket_fd = fd;
  return fd >= FD_FIRST && fd <= FD_LAST;
}

/* "source=DIR,sandbox=namespace,no_xattr"; libvirt doubles a comma in DIR, and such a DIR is none
 * of ours. */
static bool
take_options (const char *text, ShareArgs *args)
{
  while (*text != '\0')
    {
      size_t length = strcspn (text, ",");
      bool last = text[length] == '\0';

      if (strncmp (text, "source=", 7) == 0 && length > 7)
        {
          if (!take_path (text + 7, length - 7, args))
            return false;
        }
      else if (!(length == 17 && strncmp (text, "sandbox=namespace", length) == 0)
               && !(length == 8 && strncmp (text, "no_xattr", length) == 0))
        return false;
      text += length + (last ? 0 : 1);
      if (!last && *text == '\0')
        return false;
    }
  return true;
}

const char *
share_args_parse (int argc, char **argv, ShareArgs *ret_args)
{
  ShareArgs args = { .socket_fd = -1 };

  for (int i = 1; i < argc; i++)
    {
      const char *next = i + 1 < argc ? argv[i + 1] : NULL;

      if (strncmp (argv[i], "--fd=", 5) == 0 && take_fd (argv[i] + 5, &args))
        continue;
      if (strcmp (argv[i], "-o") == 0 && next && take_options (next, &args))
        i++;
      else if (strcmp (argv[i], "--shared-dir") == 0 && next
               && take_path (next, strlen (next), &args))
        i++;
      else if (strcmp (argv[i], "--sandbox") == 0 && next && strcmp (next, "namespace") == 0)
        i++;
      else if (strcmp (argv[i], "-d") == 0 || strcmp (argv[i], "--log-level=debug") == 0)
        args.debug = true;
      else
        return argv[i];
    }
  if (args.socket_fd < 0)
    return "(no --fd)";
  if (args.door[0] == '\0')
    return "(no shared directory)";
  *ret_args = args;
  return NULL;
}
