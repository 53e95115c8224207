BEGIN TRANSACTION;
CREATE TABLE beginning (
    digest BLOB NOT NULL,
    record INTEGER NOT NULL REFERENCES record (seq) ON DELETE CASCADE,
    PRIMARY KEY (digest, record)
) WITHOUT ROWID;
INSERT INTO "beginning" VALUES(X'0EADF3BB8112C88D743ACDB6E7CE3F5D',1);
INSERT INTO "beginning" VALUES(X'40F2375673CB0779E6FB2A9E0065F003',1);
INSERT INTO "beginning" VALUES(X'1DF055A7FDCFB9C36B07245AD8BA39C1',2);
INSERT INTO "beginning" VALUES(X'44B0849EDF897B5528ECA87E1930609D',4);
INSERT INTO "beginning" VALUES(X'2E6641C4AB5CECBCAC042CBC62E13AF1',5);
INSERT INTO "beginning" VALUES(X'1E4982B3194B93BF136A8D4CE8C36E50',8);
INSERT INTO "beginning" VALUES(X'EF6E8FB3B53D8D9018D7EB82AE12F2BE',9);
INSERT INTO "beginning" VALUES(X'8D79CDBDE79DA52947DB24766AF2DAC3',10);
INSERT INTO "beginning" VALUES(X'942F0276E46A91DC232960A3D9FD9027',11);
INSERT INTO "beginning" VALUES(X'6F101E9043D131804DAB62EA55923E3C',12);
CREATE TABLE conversation (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    head TEXT,
    version INTEGER NOT NULL,
    hidden TEXT NOT NULL,
    UNIQUE (tenant, id)
);
INSERT INTO "conversation" VALUES(1,'','conv_70a2ca0f20fa65cb7a1be753829e933468b6ba80930e67f5',1795845893,1795845893,'{"title": "pets"}','resp_b5797c62dc270e944cc5c9d9da7f59dea93f0a18e84ad8a6',2,'[]');
INSERT INTO "conversation" VALUES(2,'','conv_8a956b460c01d2688345747c066b8ca9c26d3619a40d90b0',1795845893,1795845893,'{}','resp_50eeb9b25007a6bc807d41e146bc3549a8fbf794d926c03e',3,'["msg_d0c70d4ddfe8eb6829901848c899de018fca993fa7fa52fb"]');
INSERT INTO "conversation" VALUES(4,'','conv_a505699c972ac7a6e2bb0a32d1839f35b517144036b61538',1795845893,1795845893,'{}','resp_6fbe80635634a078130662860009a5ca1d347ca9625b6fbe',2,'[]');
CREATE TABLE record (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    base TEXT,
    kept_tokens INTEGER NOT NULL,
    token_ids BLOB NOT NULL,
    ends BLOB NOT NULL,
    text TEXT NOT NULL,
    vocabulary TEXT NOT NULL,
    named INTEGER NOT NULL,
    UNIQUE (tenant, id)
);
INSERT INTO "record" VALUES(1,'','resp_1639c2ee4b07e6f278be081889788cdc4f806ede7b474c7a',NULL,0,X'010000003901000004010000C90000002F0000005B0000002E0100000E0100004D010000720100006D010000DF00000062010000770100004E000000510000001000000002000000C90000000100000043000000370100004A01000056000000C90000004B010000250000003B00000048000000',X'0C0000000E00000010000000110000001200000013000000170000001A0000001D0000001F00000021000000220000002400000026000000270000002800000029000000330000003400000040000000410000004300000048000000490000004A0000004E0000004F0000005000000051000000','<|im_start|>user
My cat is called Mirelo.<|im_end|>
<|im_start|>assistant
 100CYf','a9662693432688f4453e58cddfea2a4b',1);
INSERT INTO "record" VALUES(2,'','resp_b5797c62dc270e944cc5c9d9da7f59dea93f0a18e84ad8a6','resp_1639c2ee4b07e6f278be081889788cdc4f806ede7b474c7a',29,X'02000000C9000000010000003901000004010000C90000005E010000460000002A010000DF000000460000005100000049000000DF000000390000004300000071010000510000001000000002000000C90000000100000043000000370100004A01000056000000C900000002000000',X'0A0000000B00000017000000190000001B0000001C0000001E0000001F00000022000000230000002400000025000000260000002700000028000000290000002B0000002C0000002D00000037000000380000004400000045000000470000004C0000004D0000004E00000058000000','<|im_end|>
<|im_start|>user
And my dog Waldo.<|im_end|>
<|im_start|>assistant
<|im_end|>','a9662693432688f4453e58cddfea2a4b',1);
INSERT INTO "record" VALUES(3,'','resp_b41f919854d75f93431b7f5b085af9aceb0829bd7ca63312','resp_1639c2ee4b07e6f278be081889788cdc4f806ede7b474c7a',25,X'4B010000250000003B00000048000000',X'04000000050000000600000007000000',' 100CYf','a9662693432688f4453e58cddfea2a4b',1);
INSERT INTO "record" VALUES(4,'','resp_50eeb9b25007a6bc807d41e146bc3549a8fbf794d926c03e','resp_b41f919854d75f93431b7f5b085af9aceb0829bd7ca63312',29,X'02000000C9000000010000003901000004010000C90000002B00000056000000DF0000004E0000004B0000004D0000004700000055000000DF000000520000004E000000570000004F000000550000001000000002000000C90000000100000043000000370100004A01000056000000C900000022010000770100004B01000025010000',X'0A0000000B00000017000000190000001B0000001C0000001D0000001E0000001F000000200000002100000022000000230000002400000025000000260000002700000028000000290000002A0000002B00000035000000360000004200000043000000450000004A0000004B0000004C0000004E000000500000005400000055000000','<|im_end|>
<|im_start|>user
It likes plums.<|im_end|>
<|im_start|>assistant
00re 100ü','a9662693432688f4453e58cddfea2a4b',1);
INSERT INTO "record" VALUES(5,'','resp_d8e240c5117e4f0e578ec8fef9b4d357023870896627724f','resp_1639c2ee4b07e6f278be081889788cdc4f806ede7b474c7a',4,X'360000004A00000047000000DF00000023010000450000007701000056000000140100005100000054000000460000000E010000DF0000003C000000590000004700000056000000550000006B01000049000000470000001000000002000000C90000000100000043000000370100004A01000056000000C90000002D000000080100000300000007000000',X'010000000200000003000000040000000600000007000000090000000A0000000C0000000D0000000E0000000F000000120000001300000014000000150000001600000017000000180000001A0000001B0000001C0000001D00000027000000280000003400000035000000370000003C0000003D0000003E0000003F000000410000004100000042000000','The secret word is Zwetschge.<|im_end|>
<|im_start|>assistant
K�!%','a9662693432688f4453e58cddfea2a4b',0);
INSERT INTO "record" VALUES(7,'','resp_e31cf46f28a80a563ab749e20c0f8dd3e666705f4e045601','resp_d8e240c5117e4f0e578ec8fef9b4d357023870896627724f',35,X'2D000000080100000300000007000000',X'01000000030000000300000004000000','K�!%','a9662693432688f4453e58cddfea2a4b',1);
INSERT INTO "record" VALUES(8,'','resp_6fbe80635634a078130662860009a5ca1d347ca9625b6fbe','resp_e31cf46f28a80a563ab749e20c0f8dd3e666705f4e045601',39,X'02000000C9000000010000003901000004010000C9000000360000004700000072010000DF0000004700000058000000040100005B00000044000000350100005B0000001000000002000000C90000000100000043000000370100004A01000056000000C900000002000000',X'0A0000000B00000017000000190000001B0000001C0000001D0000001E00000020000000210000002200000023000000250000002600000027000000290000002A0000002B00000035000000360000004200000043000000450000004A0000004B0000004C00000056000000','<|im_end|>
<|im_start|>user
Tell everybody.<|im_end|>
<|im_start|>assistant
<|im_end|>','a9662693432688f4453e58cddfea2a4b',1);
INSERT INTO "record" VALUES(9,'','resp_195a24019f7261f5628a84a629685443ef55e90628fa124d','resp_1639c2ee4b07e6f278be081889788cdc4f806ede7b474c7a',4,X'25000000360100005000000056000000DF00000056000000510000000501000077010000470000001000000002000000C90000000100000043000000370100004A01000056000000C90000002E0000000B0100002F00000079010000',X'010000000300000004000000050000000600000007000000080000000B0000000D0000000E0000000F000000190000001A0000002600000027000000290000002E0000002F0000003000000031000000330000003400000038000000','Count to three.<|im_end|>
<|im_start|>assistant
LnaMraße','a9662693432688f4453e58cddfea2a4b',1);
INSERT INTO "record" VALUES(10,'','resp_a674071ce09ef912eb171837996629223c00736883f719d2','resp_195a24019f7261f5628a84a629685443ef55e90628fa124d',27,X'02000000C9000000010000003901000004010000C90000005E0100004600000027010000500000001000000002000000C90000000100000043000000370100004A01000056000000C90000002500000035000000290100001F000000',X'0A0000000B00000017000000190000001B0000001C0000001E0000001F0000002100000022000000230000002D0000002E0000003A0000003B0000003D00000042000000430000004400000045000000460000004A0000004B000000','<|im_end|>
<|im_start|>user
And on.<|im_end|>
<|im_start|>assistant
CS her=','a9662693432688f4453e58cddfea2a4b',1);
INSERT INTO "record" VALUES(11,'','resp_3aa9fd2042f0511f8e595b5ddbb70fc652b34547a7829014','resp_1639c2ee4b07e6f278be081889788cdc4f806ede7b474c7a',4,X'2D000000470000004700000052000000DF00000012010000030100001001000049000000270100004800000005010000070100001C000000DF00000033000000570000004B0000005600000056000000470000001000000002000000C90000000100000043000000370100004A01000056000000C90000002D000000530000004100000030000000',X'010000000200000003000000040000000500000007000000090000000B0000000C0000000E0000000F000000120000001400000015000000160000001700000018000000190000001A0000001B0000001C0000001D00000027000000280000003400000035000000370000003C0000003D0000003E0000003F000000400000004100000042000000','Keep nothing of this: Quitte.<|im_end|>
<|im_start|>assistant
Kq_N','a9662693432688f4453e58cddfea2a4b',0);
INSERT INTO "record" VALUES(12,'','resp_e74a6b53976b11f39671f8a2b172515eb8a1ade9906a19d7','resp_1639c2ee4b07e6f278be081889788cdc4f806ede7b474c7a',4,X'2B000000DF000000770100002301000074010000DF0000002F0000000701000052000000470000004E0000001000000002000000C90000000100000043000000370100004A01000056000000C90000007B000000570000001C00000042000000',X'0100000002000000040000000600000008000000090000000A0000000C0000000D0000000E0000000F000000100000001A0000001B00000027000000280000002A0000002F000000300000003100000033000000330000003400000035000000','I resend Mispel.<|im_end|>
<|im_start|>assistant
�u:`','a9662693432688f4453e58cddfea2a4b',0);
CREATE TABLE turn (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    parent TEXT,
    conversation TEXT,
    created_at INTEGER NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    reply TEXT,
    stored INTEGER NOT NULL,
    UNIQUE (tenant, id)
);
INSERT INTO "turn" VALUES(1,'','resp_1639c2ee4b07e6f278be081889788cdc4f806ede7b474c7a',NULL,'conv_70a2ca0f20fa65cb7a1be753829e933468b6ba80930e67f5',1795845893,'[{"id": "msg_5eef448207aa4d486081b23e965c69120f5578da0873eff8", "role": "user", "parts": ["My cat is called Mirelo."], "complete": true}]','[{"id": "msg_371955a04af0af7578fc08847f5dc1419e7dbc5e836a1c8a", "role": "assistant", "parts": [" 100CYf"], "complete": false}]','{"model": "llama-chatml-0-0.2", "finish_reason": "length", "completed_at": 1795845893, "output_tokens": 4, "report": {"reuse": "state", "prompt_tokens": 25, "cached_tokens": 0, "prefilled_tokens": 25, "cached_by_tier": {"resident": 0, "ram": 0, "disk": 0}, "queue_ms": 15.589, "restore_ms": 0.0, "prefill_ms": 2.335, "ttft_ms": 17.923, "decode_ms_per_token": 1.652, "recompute_ms": 2.335, "recompute_source": "measured", "saved_ms": 0.0, "miss": null, "control": null}, "instructions": null, "echo": {"metadata": {}, "temperature": 0.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_logprobs": 0, "max_output_tokens": 4, "max_tool_calls": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null}, "user": null, "safety_identifier": null, "prompt_cache_key": null}}',1);
INSERT INTO "turn" VALUES(2,'','resp_b5797c62dc270e944cc5c9d9da7f59dea93f0a18e84ad8a6','resp_1639c2ee4b07e6f278be081889788cdc4f806ede7b474c7a','conv_70a2ca0f20fa65cb7a1be753829e933468b6ba80930e67f5',1795845893,'[{"id": "msg_db420f55ff63fd67810c8b70f357dbdd5340b1d752efb68f", "role": "user", "parts": ["And my dog Waldo."], "complete": true}]','[{"id": "msg_59ccadaeb552054ff9d51e4d7438dbc7b5149c7470f7a21d", "role": "assistant", "parts": [""], "complete": true}]','{"model": "llama-chatml-0-0.2", "finish_reason": "stop", "completed_at": 1795845893, "output_tokens": 1, "report": {"reuse": "state", "prompt_tokens": 56, "cached_tokens": 28, "prefilled_tokens": 28, "cached_by_tier": {"resident": 28, "ram": 0, "disk": 0}, "queue_ms": 1.613, "restore_ms": 0.0, "prefill_ms": 2.386, "ttft_ms": 3.998, "decode_ms_per_token": null, "recompute_ms": 2.116, "recompute_source": "estimated", "saved_ms": -0.269, "miss": null, "control": null}, "instructions": null, "echo": {"metadata": {}, "temperature": 0.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_logprobs": 0, "max_output_tokens": 4, "max_tool_calls": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null}, "user": null, "safety_identifier": null, "prompt_cache_key": null}}',1);
INSERT INTO "turn" VALUES(3,'','resp_b41f919854d75f93431b7f5b085af9aceb0829bd7ca63312',NULL,'conv_8a956b460c01d2688345747c066b8ca9c26d3619a40d90b0',1795845893,'[{"id": "msg_c19577a95cb37795d19eb04bc4b9007dc76907d471a11597", "role": "user", "parts": ["My cat is called Mirelo."], "complete": true}]','[{"id": "msg_d0c70d4ddfe8eb6829901848c899de018fca993fa7fa52fb", "role": "assistant", "parts": [" 100CYf"], "complete": false}]','{"model": "llama-chatml-0-0.2", "finish_reason": "length", "completed_at": 1795845893, "output_tokens": 4, "report": {"reuse": "state", "prompt_tokens": 25, "cached_tokens": 24, "prefilled_tokens": 1, "cached_by_tier": {"resident": 24, "ram": 0, "disk": 0}, "queue_ms": 1.387, "restore_ms": 0.0, "prefill_ms": 1.985, "ttft_ms": 3.372, "decode_ms_per_token": 1.837, "recompute_ms": 2.068, "recompute_source": "estimated", "saved_ms": 0.083, "miss": null, "control": null}, "instructions": null, "echo": {"metadata": {}, "temperature": 0.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_logprobs": 0, "max_output_tokens": 4, "max_tool_calls": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null}, "user": null, "safety_identifier": null, "prompt_cache_key": null}}',1);
INSERT INTO "turn" VALUES(4,'','resp_50eeb9b25007a6bc807d41e146bc3549a8fbf794d926c03e','resp_b41f919854d75f93431b7f5b085af9aceb0829bd7ca63312','conv_8a956b460c01d2688345747c066b8ca9c26d3619a40d90b0',1795845893,'[{"id": "msg_146894fd46423a286586929300a0d3a216260d9425e57411", "role": "user", "parts": ["It likes plums."], "complete": true}]','[{"id": "msg_ffbaddf1467be664415a45c0b8638dfdd2ec5e809d2e8faa", "role": "assistant", "parts": ["00re 100\u00fc"], "complete": false}]','{"model": "llama-chatml-0-0.2", "finish_reason": "length", "completed_at": 1795845893, "output_tokens": 4, "report": {"reuse": "state", "prompt_tokens": 58, "cached_tokens": 35, "prefilled_tokens": 23, "cached_by_tier": {"resident": 35, "ram": 0, "disk": 0}, "queue_ms": 1.369, "restore_ms": 0.0, "prefill_ms": 2.003, "ttft_ms": 3.372, "decode_ms_per_token": 1.559, "recompute_ms": 2.121, "recompute_source": "estimated", "saved_ms": 0.118, "miss": null, "control": null}, "instructions": null, "echo": {"metadata": {}, "temperature": 0.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_logprobs": 0, "max_output_tokens": 4, "max_tool_calls": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null}, "user": null, "safety_identifier": null, "prompt_cache_key": null}}',1);
INSERT INTO "turn" VALUES(7,'','resp_e31cf46f28a80a563ab749e20c0f8dd3e666705f4e045601',NULL,'conv_a505699c972ac7a6e2bb0a32d1839f35b517144036b61538',1795845893,'[{"id": "msg_2ad6ad638841d84935d52427a7a7f576d21f43005beae934", "role": "user", "parts": ["The secret word is Zwetschge."], "complete": true}]','[{"id": "msg_f7017f807d0555c0316f2d4b269ffae06ff4dd46f24c9da4", "role": "assistant", "parts": ["K\ufffd!%"], "complete": false}]','{"model": "llama-chatml-0-0.2", "finish_reason": "length", "completed_at": 1795845893, "output_tokens": 4, "report": {"reuse": "state", "prompt_tokens": 35, "cached_tokens": 34, "prefilled_tokens": 1, "cached_by_tier": {"resident": 34, "ram": 0, "disk": 0}, "queue_ms": 1.322, "restore_ms": 0.0, "prefill_ms": 2.952, "ttft_ms": 4.274, "decode_ms_per_token": 12.472, "recompute_ms": 2.079, "recompute_source": "estimated", "saved_ms": -0.873, "miss": null, "control": null}, "instructions": null, "echo": {"metadata": {}, "temperature": 0.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_logprobs": 0, "max_output_tokens": 4, "max_tool_calls": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null}, "user": null, "safety_identifier": null, "prompt_cache_key": null}}',1);
INSERT INTO "turn" VALUES(8,'','resp_6fbe80635634a078130662860009a5ca1d347ca9625b6fbe','resp_e31cf46f28a80a563ab749e20c0f8dd3e666705f4e045601','conv_a505699c972ac7a6e2bb0a32d1839f35b517144036b61538',1795845893,'[{"id": "msg_f5a81be0b56536c8bfec509cf2a0b91130e2a37a542f9179", "role": "user", "parts": ["Tell everybody."], "complete": true}]','[{"id": "msg_806bd57aa1571d1eaa597540d5403b7459cfa1acacf8e648", "role": "assistant", "parts": [""], "complete": true}]','{"model": "llama-chatml-0-0.2", "finish_reason": "stop", "completed_at": 1795845893, "output_tokens": 1, "report": {"reuse": "state", "prompt_tokens": 65, "cached_tokens": 49, "prefilled_tokens": 16, "cached_by_tier": {"resident": 49, "ram": 0, "disk": 0}, "queue_ms": 1.479, "restore_ms": 0.0, "prefill_ms": 1.912, "ttft_ms": 3.391, "decode_ms_per_token": null, "recompute_ms": 2.138, "recompute_source": "estimated", "saved_ms": 0.225, "miss": null, "control": null}, "instructions": null, "echo": {"metadata": {}, "temperature": 0.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_logprobs": 0, "max_output_tokens": 4, "max_tool_calls": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null}, "user": null, "safety_identifier": null, "prompt_cache_key": null}}',1);
INSERT INTO "turn" VALUES(9,'','resp_195a24019f7261f5628a84a629685443ef55e90628fa124d',NULL,NULL,1795845893,'[{"id": "msg_2cd4f128d7a7de9c6d89f99c7df0a18724efc9366235a6d9", "role": "user", "parts": ["Count to three."], "complete": true}]','[{"id": "msg_31d84e9537e7ad4d940581d8b5759ad38bd29d1f06637b42", "role": "assistant", "parts": ["LnaMra\u00dfe"], "complete": false}]','{"model": "llama-chatml-0-0.2", "finish_reason": "length", "completed_at": 1795845893, "output_tokens": 4, "report": {"reuse": "state", "prompt_tokens": 23, "cached_tokens": 4, "prefilled_tokens": 19, "cached_by_tier": {"resident": 4, "ram": 0, "disk": 0}, "queue_ms": 1.491, "restore_ms": 0.0, "prefill_ms": 2.094, "ttft_ms": 3.585, "decode_ms_per_token": 5.216, "recompute_ms": 2.066, "recompute_source": "estimated", "saved_ms": -0.028, "miss": null, "control": null}, "instructions": null, "echo": {"metadata": {}, "temperature": 0.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_logprobs": 0, "max_output_tokens": 4, "max_tool_calls": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null}, "user": null, "safety_identifier": null, "prompt_cache_key": null}}',1);
INSERT INTO "turn" VALUES(10,'','resp_a674071ce09ef912eb171837996629223c00736883f719d2','resp_195a24019f7261f5628a84a629685443ef55e90628fa124d',NULL,1795845893,'[{"id": "msg_39fdbb575786b430d7bb9a16aab45f9c3c08bd03f866f073", "role": "user", "parts": ["And on."], "complete": true}]','[{"id": "msg_1357278ba5f3e5944b4cb5f373a951c2f5b684673a376e26", "role": "assistant", "parts": ["CS her="], "complete": false}]','{"model": "llama-chatml-0-0.2", "finish_reason": "length", "completed_at": 1795845893, "output_tokens": 4, "report": {"reuse": "state", "prompt_tokens": 46, "cached_tokens": 26, "prefilled_tokens": 20, "cached_by_tier": {"resident": 26, "ram": 0, "disk": 0}, "queue_ms": 1.155, "restore_ms": 0.0, "prefill_ms": 1.95, "ttft_ms": 3.105, "decode_ms_per_token": 1.43, "recompute_ms": 2.097, "recompute_source": "estimated", "saved_ms": 0.147, "miss": null, "control": null}, "instructions": null, "echo": {"metadata": {}, "temperature": 0.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "top_logprobs": 0, "max_output_tokens": 4, "max_tool_calls": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null}, "user": null, "safety_identifier": null, "prompt_cache_key": null}}',1);
CREATE INDEX conversation_by_head ON conversation (tenant, head);
CREATE INDEX turn_by_parent ON turn (tenant, parent);
CREATE INDEX turn_by_conversation ON turn (tenant, conversation);
CREATE INDEX record_by_base ON record (tenant, base, seq);
CREATE INDEX record_unnamed ON record (seq) WHERE NOT named;
CREATE INDEX beginning_by_record ON beginning (record);
COMMIT;
PRAGMA user_version = 1;
