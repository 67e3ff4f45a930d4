/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "tipstaff/tipstaff.h"

/* Calls to the daemon whose errors are already told to the user. */

json_t *cli_call(const char *method, json_t *params)
{
	return cli_call_with_file(method, params, "", "");
}

json_t *cli_call_with_file(const char *method, json_t *params, const char *set, const char *file)
{
	struct tip_error err = {0};
	char *hint = NULL;
	json_t *result = tip_control_call(cli.socket, method, params, &err, &hint);

	if (!result && *set && !strcmp(err.file, set))
		snprintf(err.file, sizeof(err.file), "%s", file);
	if (!result)
		cli_fail_error(&err, hint);
	free(hint);
	json_decref(params);
	return result;
}

int cli_follow(const char *method, json_t *params, bool (*event)(void *ctx, json_t *ev), void *ctx)
{
	struct tip_error err = {0};
	char *hint = NULL;
	int ret = CLI_OK;

	if (tip_control_follow(cli.socket, method, params, event, ctx, &err, &hint))
		ret = cli_fail_error(&err, hint);
	free(hint);
	json_decref(params);
	return ret;
}

const char *get_string(json_t *obj, const char *key, const char *fallback)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : fallback;
}

long long get_int(json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

bool get_bool(json_t *obj, const char *key)
{
	return json_is_true(json_object_get(obj, key));
}
